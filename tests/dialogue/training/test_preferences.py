from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedModel
from dialogue.models.base import NAME
from dialogue.training.card import model_card
from dialogue.training.data import Filtering
from dialogue.training.examples import END, START, Example, collate
from dialogue.training.judged import JudgedTalks, read_judged, side_by_side
from dialogue.training.losses import PreferenceSettings
from dialogue.training.network import ReplyLoss, build, trained_parameters
from dialogue.training.preferences import (
    REFERENCE,
    JudgedBatch,
    JudgedLoss,
    judged_batches,
    read_replies,
    with_reference,
)
from dialogue.training.run import Options, Places, run
from tests.dialogue.training.tiny import SAYINGS, tiny, write_judged

QUIET = Options(measured_replies=0, quick_replies=0, country=None)


@pytest.fixture
def tokenizer(places: Places) -> Tokenizer:
    assert places.base_cache is not None
    return Tokenizer.from_file(str(places.base_cache / "models" / NAME / "tokenizer.json"))


@pytest.fixture
def judged(tmp_path: Path, tokenizer: Tokenizer) -> JudgedTalks:
    return read_judged(write_judged(tmp_path / "judged.jsonl"), tokenizer)


@pytest.fixture
def model(places: Places) -> AlignedModel:
    assert places.base_cache is not None
    return build(tiny(), places.base_cache / "models" / NAME, 0).to(torch.float32)


def test_a_talk_is_read_as_the_chat_reads_it(judged: JudgedTalks, tokenizer: Tokenizer) -> None:
    assert judged.all[0].context == [*tokenizer.encode(SAYINGS[0]).ids, END]
    assert judged.all[0].replies[0] == tokenizer.encode(SAYINGS[1]).ids
    assert judged.all[0].grades == (2, 1, 0)
    assert (len(judged.all), judged.reply_count) == (8, 24)


@pytest.mark.parametrize(
    "line",
    [
        "{",
        '{"context": [], "replies": [{"text": "a", "grade": 1}]}',
        '{"context": ["x"], "replies": [{"text": "a"}]}',
        '{"context": ["x"], "replies": [{"text": "a", "grade": 3}]}',
        '{"context": ["x"], "replies": [{"text": " ", "grade": 1}]}',
        '{"context": "x", "replies": [{"text": "a", "grade": 1}]}',
        '{"context": ["x"], "replies": [{"text": "a", "grade": true}]}',
        '["x", "a", "b"]',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, tokenizer: Tokenizer, line: str) -> None:
    path = write_judged(tmp_path / "judged.jsonl", 2)
    path.write_text(path.read_text() + "\n" + line + "\n")
    with pytest.raises(UserError, match=r"judged\.jsonl, line 4 "):
        read_judged(path, tokenizer)


def test_talks_without_a_better_reply_teach_nothing_and_a_file_of_them_is_refused(
    tmp_path: Path, tokenizer: Tokenizer
) -> None:
    alike = {"context": ["Hi."], "replies": [{"text": "a", "grade": 1}, {"text": "b", "grade": 1}]}
    path = write_judged(tmp_path / "judged.jsonl", 2)
    path.write_text(path.read_text() + json.dumps(alike) + "\n")
    assert len(read_judged(path, tokenizer).all) == 2
    path.write_text(json.dumps(alike) + "\n")
    with pytest.raises(UserError, match="no talk with a better and a worse reply"):
        read_judged(path, tokenizer)


def test_pairs_are_of_one_talk_better_first_and_every_talk_counts_the_same(judged: JudgedTalks) -> None:
    fewer = replace(judged.all[1], replies=judged.all[1].replies[1:], grades=judged.all[1].grades[1:])
    batch = side_by_side([judged.all[0], fewer])
    better, worse, weights = batch.pairs(vague=0.5)
    assert list(zip(better.tolist(), worse.tolist(), strict=True)) == [(0, 1), (0, 2), (1, 2), (3, 4)]
    assert weights.tolist() == pytest.approx([0.2, 0.4, 0.4, 1.0])


def test_log_probs_are_those_of_the_reply_alone(model: AlignedModel, judged: JudgedTalks) -> None:
    talks = judged.all[:3]
    replies = [(talk.context, reply) for talk in talks for reply in talk.replies]
    for (context, reply), found in zip(replies, read_replies(model, side_by_side(talks)), strict=True):
        said = torch.tensor([[START, *reply]])
        logits = model(torch.tensor([context]), torch.ones(1, len(context)), said)[0].log_softmax(-1)
        wanted = logits[range(len(reply) + 1), [*reply, END]].sum()
        torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)


@torch.no_grad()
def test_the_loss_at_the_start_is_the_talks_and_a_coin_toss(model: AlignedModel, judged: JudgedTalks) -> None:
    """DPO's is log 2 while nothing has been learnt, and falls as better replies gain."""
    reference = tuple(read_replies(model, side_by_side([talk])) for talk in judged.all)
    judged = replace(judged, reference=reference)
    talks = collate([Example(judged.all[0].context, [START, 5], [5, END], [1.0, 1.0])])
    batch = next(judged_batches(iter([talks]), judged, 8, 0, 0))
    loss = JudgedLoss(ReplyLoss(model), PreferenceSettings(weight=0.5))
    alone, weights = ReplyLoss(model)(talks)
    total, same = loss(batch)
    assert same == weights
    assert float((total - alone) / weights) == pytest.approx(0.5 * 0.6931, abs=1e-3)
    push = 5.0 * batch.judged.grades
    better, worse = replace(batch, reference=batch.reference - push), replace(batch, reference=batch.reference + push)
    assert float(loss(better)[0]) < float(total) < float(loss(worse)[0])


def test_every_talk_comes_once_a_pass_and_resumed_runs_take_the_same_ones(judged: JudgedTalks) -> None:
    numbered = replace(judged, reference=tuple(torch.full((3,), float(number)) for number in range(8)))

    def seen(start: int, count: int, share: tuple[int, int] = (0, 1)) -> list[JudgedBatch]:
        return list(judged_batches(iter([None] * count), numbered, 4, 1, start, share))  # type: ignore[list-item]

    whole = seen(0, 4)
    assert sorted(torch.cat([each.reference for each in whole[:2]])[::3].tolist()) == list(range(8))
    assert whole[0].reference.tolist() != whole[2].reference.tolist()
    assert [each.reference.tolist() for each in seen(2, 2)] == [each.reference.tolist() for each in whole[2:]]
    apart = [seen(1, 1, (process, 2))[0].reference.tolist() for process in range(2)]
    assert apart == [each.reference.tolist() for each in whole[2:]]


def test_the_reference_is_that_of_every_reply_whatever_was_read_beside_it(
    model: AlignedModel, judged: JudgedTalks, tmp_path: Path
) -> None:
    uneven = tuple(replace(talk, context=talk.context * (1 + at % 3)) for at, talk in enumerate(judged.all * 2))
    found = with_reference(tmp_path, ReplyLoss(model), replace(judged, all=uneven)).reference
    for talk, log_probs in zip(uneven, found, strict=True):
        torch.testing.assert_close(log_probs, read_replies(model, side_by_side([talk])), atol=1e-3, rtol=1e-4)


def test_a_run_with_judged_replies_prefers_the_better_ones_and_keeps_its_reference(
    places: Places, no_filter: Filtering, tmp_path: Path, tokenizer: Tokenizer
) -> None:
    learning = replace(places, preferences=write_judged(tmp_path / "judged.jsonl"))
    said: list[str] = []
    run(tiny(steps=3), learning, no_filter, QUIET, said.append)
    assert any("24 judged replies" in line and "100%, 0.0 minutes left" in line for line in said)
    kept = torch.load(learning.folder / REFERENCE, weights_only=True)["log_probs"]
    record = run(tiny(steps=25), learning, no_filter, QUIET, lambda line: None)  # goes on from the checkpoint
    assert "24 judged replies to 8 talks" in model_card(record)
    assert torch.equal(torch.load(learning.folder / REFERENCE, weights_only=True)["log_probs"], kept)
    assert places.base_cache is not None and learning.preferences is not None
    model = build(tiny(), places.base_cache / "models" / NAME, 0)
    state = torch.load(places.folder / "checkpoint.pt", weights_only=True)["weights"]
    with torch.no_grad():
        for name, parameter in trained_parameters(model).items():
            parameter.copy_(state[name])
    talks = with_reference(tmp_path / "after", ReplyLoss(model), read_judged(learning.preferences, tokenizer))
    gained = torch.cat(talks.reference) - kept
    better, worse, _ = side_by_side(talks.all).pairs(0.5)
    assert float((gained[better] > gained[worse]).float().mean()) > 0.9


def test_without_its_checkpoint_a_run_reads_the_replies_anew(
    places: Places, no_filter: Filtering, tmp_path: Path
) -> None:
    learning = replace(places, preferences=write_judged(tmp_path / "judged.jsonl"))
    run(tiny(steps=25), learning, no_filter, QUIET, lambda line: None)
    (learning.folder / "checkpoint.pt").unlink()
    first = torch.load(learning.folder / REFERENCE, weights_only=True)["log_probs"]
    run(tiny(steps=1), replace(learning, start=learning.export, export=None), no_filter, QUIET, lambda line: None)
    assert not torch.equal(torch.load(learning.folder / REFERENCE, weights_only=True)["log_probs"], first)
