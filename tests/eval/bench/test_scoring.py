"""The benchmark of rating given replies: it rates the same both ways, and counts what there is to read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.protocol import TreeSeq2Seq
from dialogue.errors import UserError
from dialogue.models.chat_model import ChatModel
from dialogue.models.loading import load
from dialogue.turns import Persona
from eval.bench.cli import app
from eval.bench.scoring import ByLevels, measure_scoring
from tests.tiny_checkpoint import make_tiny_checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def model(folder: Path) -> ChatModel:
    config = DecodingConfig(num_beams=4, num_return=4, max_length=6, pmi_lambda=0.5)
    return replace(load(str(folder), dtype="float32"), defaults=config)


def test_both_ways_rate_the_same_and_trees_have_fewer_nodes_than_replies_have_tokens(model: ChatModel) -> None:
    cost = measure_scoring(model, Persona("Robin"), count=3, rounds=1)
    assert cost.contexts == 3
    assert cost.gap < 1e-4
    assert cost.tokens / 4 <= cost.nodes < cost.tokens
    assert min(cost.levels_s, cost.at_once_s, cost.reply_s) > 0


def test_a_model_without_trees_is_refused(model: ChatModel) -> None:
    limited = ByLevels(model.seq2seq)
    assert not isinstance(limited, TreeSeq2Seq)
    with pytest.raises(UserError, match="token by token"):
        measure_scoring(replace(model, seq2seq=limited), Persona("Robin"), count=1, rounds=1)


def test_one_command_prints_the_comparison(folder: Path) -> None:
    arguments = ["scoring", "--model", str(folder), "--count", "1", "--rounds", "1"]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "by levels" in told.stdout and "at once" in told.stdout
    (line,) = CliRunner().invoke(app, [*arguments, "--json"]).stdout.splitlines()
    assert json.loads(line)["contexts"] == 1
