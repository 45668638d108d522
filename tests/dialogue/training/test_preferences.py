from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from dialogue.errors import UserError
from dialogue.models.base import NAME
from dialogue.training.card import model_card
from dialogue.training.data import Filtering
from dialogue.training.examples import START
from dialogue.training.losses import PreferenceSettings
from dialogue.training.network import ReplyLoss, build, trained_parameters
from dialogue.training.preferences import (
    JudgedBatch,
    JudgedLoss,
    Pairs,
    judged_batches,
    kept_reference,
    log_probs,
    read_pairs,
)
from dialogue.training.run import Options, Places, run
from tests.dialogue.training.tiny import SAYINGS, tiny

QUIET = Options(measured_replies=0, quick_replies=0, country=None)


def write_pairs(path: Path, count: int = 8) -> Path:
    """The answer to every saying is the next one; what comes after that is judged worse."""
    rows = [
        {"context": [SAYINGS[n % 6]], "chosen": SAYINGS[(n + 1) % 6], "rejected": SAYINGS[(n + 2) % 6], "persona": None}
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def tokenizer(places: Places) -> Tokenizer:
    assert places.base_cache is not None
    return Tokenizer.from_file(str(places.base_cache / "models" / NAME / "tokenizer.json"))


@pytest.fixture
def pairs(tmp_path: Path, tokenizer: Tokenizer) -> Pairs:
    return read_pairs(write_pairs(tmp_path / "pairs.jsonl"), tokenizer)


def test_a_pair_is_read_as_the_chat_reads_the_talk(pairs: Pairs, tokenizer: Tokenizer) -> None:
    said = tokenizer.encode(SAYINGS[1]).ids
    assert pairs.all[0].chosen.encoder == [*tokenizer.encode(SAYINGS[0]).ids, 2]
    assert pairs.all[0].chosen.decoder == [START, *said]
    assert pairs.all[0].chosen.labels == [*said, 2]
    assert pairs.all[0].rejected.encoder == pairs.all[0].chosen.encoder


@pytest.mark.parametrize(
    "line",
    ["{", '{"context": [], "chosen": "a", "rejected": "b"}', '{"context": ["x"], "chosen": "a"}', '["x", "a", "b"]'],
)
def test_a_bad_line_is_named(tmp_path: Path, tokenizer: Tokenizer, line: str) -> None:
    path = write_pairs(tmp_path / "pairs.jsonl", 2)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UserError, match=r"pairs\.jsonl, line 3 "):
        read_pairs(path, tokenizer)


def test_log_probs_are_those_of_the_reply_alone(places: Places, pairs: Pairs) -> None:
    assert places.base_cache is not None
    model = build(tiny(), places.base_cache / "models" / NAME, 0).to(torch.float32)
    batch = next(judged_batches(iter([None]), pairs, torch.zeros(8), 3, 0, 0)).judged  # type: ignore[list-item]
    found = log_probs(model, batch)
    for row in range(len(found)):
        context, size = batch.input_ids[row][batch.attention_mask[row]], int((batch.weights[row] > 0).sum())
        logits = model(context[None], torch.ones(1, len(context)), batch.decoder_ids[row : row + 1, :size])
        wanted = logits[0].log_softmax(-1).gather(1, batch.labels[row, :size, None]).sum()
        torch.testing.assert_close(found[row], wanted, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_the_loss_at_the_start_is_the_talks_and_a_coin_toss(places: Places, pairs: Pairs) -> None:
    """DPO's loss is log 2 while nothing has been learnt, and falls when the better reply gains on the worse."""
    assert places.base_cache is not None
    model = build(tiny(), places.base_cache / "models" / NAME, 0).to(torch.float32)
    reference = kept_reference(places.folder, model, pairs)
    talks = next(judged_batches(iter([None]), pairs, reference, 8, 0, 0)).judged  # type: ignore[list-item]
    batch = next(judged_batches(iter([talks]), pairs, reference, 8, 0, 0))
    loss = JudgedLoss(ReplyLoss(model), PreferenceSettings(weight=0.5))
    alone, weights = ReplyLoss(model)(talks)
    total, same = loss(batch)
    assert same == weights
    assert float((total - alone) / weights) == pytest.approx(0.5 * 0.6931, abs=1e-3)
    better = replace(batch, reference=batch.reference - 5.0)
    assert float(loss(better)[0]) < float(total) < float(loss(replace(batch, reference=batch.reference + 5.0))[0])


def test_every_pair_comes_once_a_pass_and_resumed_runs_take_the_same_ones(pairs: Pairs) -> None:
    def seen(start: int, count: int) -> list[JudgedBatch]:
        return list(judged_batches(iter([None] * count), pairs, torch.arange(8.0), 4, 1, start))  # type: ignore[list-item]

    whole = seen(0, 4)
    assert sorted(torch.cat([each.reference for each in whole[:2]]).tolist()) == list(range(8))
    assert whole[0].reference.tolist() != whole[2].reference.tolist()
    assert [each.reference.tolist() for each in seen(2, 2)] == [each.reference.tolist() for each in whole[2:]]


def test_a_run_with_judged_replies_prefers_the_better_ones_and_keeps_its_reference(
    places: Places, no_filter: Filtering, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    judged = replace(places, preferences=write_pairs(tmp_path / "pairs.jsonl"))
    run(tiny(steps=3), judged, no_filter, QUIET, lambda line: None)
    kept = torch.load(judged.folder / "reference.pt", weights_only=True)["advantages"]
    record = run(tiny(steps=25), judged, no_filter, QUIET, lambda line: None)  # goes on from the checkpoint
    assert "8 pairs of judged replies" in model_card(record)
    assert torch.equal(torch.load(judged.folder / "reference.pt", weights_only=True)["advantages"], kept)
    assert places.base_cache is not None and judged.preferences is not None
    model = build(tiny(), places.base_cache / "models" / NAME, 0)
    state = torch.load(places.folder / "checkpoint.pt", weights_only=True)["weights"]
    with torch.no_grad():
        for name, parameter in trained_parameters(model).items():
            parameter.copy_(state[name])
    after = kept_reference(tmp_path / "after", model, read_pairs(judged.preferences, tokenizer))
    assert (after > kept).all()
