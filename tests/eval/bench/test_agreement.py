"""The share of equal replies: a format agrees with itself, and a changed reply lowers the share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dialogue.decoding.config import DecodingConfig
from dialogue.models.chat_model import ChatModel
from dialogue.models.loading import load
from dialogue.turns import Persona
from eval.bench.agreement import OPENINGS, compare
from tests.tiny_checkpoint import make_tiny_checkpoint

GREEDY = DecodingConfig(num_beams=2, num_return=2, max_length=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model")


def test_a_format_agrees_with_itself(folder: Path) -> None:
    (row,) = compare(lambda dtype: load(str(folder), dtype="float32"), ["float32"], GREEDY, Persona("Robin"))
    assert (row.contexts, row.same_reply, row.same_candidates) == (len(OPENINGS), 1.0, 1.0)
    assert row.same_in_crowd == 1.0
    assert row.nats_lost == 0.0


def test_rounding_to_int8_changes_the_likelihood_a_little(folder: Path) -> None:
    (row,) = compare(lambda dtype: load(str(folder), dtype=dtype), ["int8"], GREEDY, Persona("Robin"))
    assert 0 < abs(row.nats_lost) < 0.05


def test_another_reply_lowers_the_share(folder: Path) -> None:
    class Shouting:
        def __init__(self, quiet: ChatModel) -> None:
            self.quiet, self.encode = quiet.vocabulary, quiet.vocabulary.encode
            self.count = 0

        def decode(self, ids: list[int]) -> str:
            self.count += 1
            return self.quiet.decode(ids) + ("!" if self.count == 1 else "")

    def loaded(dtype: str) -> ChatModel:
        model = load(str(folder), dtype="float32")
        return replace(model, vocabulary=Shouting(model)) if dtype == "loud" else model  # type: ignore[arg-type]

    (row,) = compare(loaded, ["loud"], GREEDY, Persona("Robin"))
    assert row.same_candidates == row.same_in_crowd == pytest.approx(1 - 1 / len(OPENINGS))
