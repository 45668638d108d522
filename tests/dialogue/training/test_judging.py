from __future__ import annotations

import itertools
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from dialogue.decoding.scoring import has_judge, judge
from dialogue.errors import UserError
from dialogue.generator import GenerationRequest, Generator
from dialogue.models.chat_model import ChatModel
from dialogue.models.judge import FILE, Judge, read_judge, write_judge
from dialogue.models.loading import load
from dialogue.training.card import JUDGE_HEADING
from dialogue.training.data import Filtering
from dialogue.training.examples import END
from dialogue.training.judge_cli import app
from dialogue.training.judge_run import frozen_network, train_judge
from dialogue.training.judged import JudgedTalk, read_judged, side_by_side
from dialogue.training.judging import (
    JudgeInTraining,
    JudgeSettings,
    is_held_out,
    mean_log_probs,
    orders,
    read_talks,
    together,
)
from dialogue.training.preferences import read_replies
from dialogue.training.run import Options, Places, run
from dialogue.training.train import Observer, Progress, TrainSettings
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from tests.dialogue.training.tiny import SAYINGS, tiny, write_judged

QUIET = Options(measured_replies=0, quick_replies=0, country=None)


def settings(steps: int = 60, **changes: int) -> JudgeSettings:
    training = TrainSettings(steps=steps, learning_rate=1e-2)
    return replace(JudgeSettings(first=1, rank=2, talks=2, train=training), **changes)  # type: ignore[arg-type]


def talk_of(text: str) -> Conversation:
    return Conversation(ConversationKey("test", "judged"), Persona("", ()), (Turn(Role.USER, text),))


@pytest.fixture
def weights(places: Places, no_filter: Filtering) -> Path:
    """The export of a short run, without a judge."""
    run(tiny(steps=3), places, no_filter, QUIET, lambda line: None)
    assert places.export is not None
    return places.export


@pytest.fixture
def judged(weights: Path, places: Places, tmp_path: Path) -> Path:
    """The same with a judge, trained in ``tmp_path / "judging"``."""
    file = write_judged(tmp_path / "judged.jsonl", 12)
    train_judge(weights, file, tmp_path / "judging", settings(), lambda line: None, base_cache=places.base_cache)
    return weights


def loaded(weights: Path, places: Places) -> ChatModel:
    return load(str(weights), cache=places.base_cache, dtype="float32")


def talks_of(path: Path, places: Places, weights: Path) -> tuple[JudgedTalk, ...]:
    return read_judged(path, frozen_network(weights, places.base_cache)[1]).all


def test_the_loaded_judge_says_what_the_trained_one_does(judged: Path, places: Places, tmp_path: Path) -> None:
    model, _ = frozen_network(judged, places.base_cache)
    talks = talks_of(tmp_path / "judged.jsonl", places, judged)
    read = read_talks(model, talks, 1)
    trained = JudgeInTraining(model, settings())
    state = torch.load(tmp_path / "judging" / "checkpoint.pt", weights_only=True)["weights"]
    assert not trained.load_state_dict(state, strict=False).unexpected_keys and set(state) == set(trained.trained())
    chat, right = loaded(judged, places), 0
    for number, talk in enumerate(talks):
        scores = judge(chat, talk.context, [*talk.replies, ()])
        with torch.no_grad():
            wanted = trained.scores(together(talks, read, [number], model.embed.weight.dtype)).tolist()
        assert scores == pytest.approx([*wanted, float("-inf")], abs=0.05, rel=0.05)
        right += scores[0] > scores[2]
    assert right >= 10


def test_what_is_said_stays_as_it_was_and_the_judge_chooses(weights: Path, places: Places, tmp_path: Path) -> None:
    before = loaded(weights, places)
    config = before.defaults.with_(max_length=12)
    (plain,) = Generator(before).generate([GenerationRequest(talk_of(SAYINGS[0]), config)])
    file = write_judged(tmp_path / "judged.jsonl", 12)
    train_judge(weights, file, tmp_path / "judging", settings(), lambda line: None, base_cache=places.base_cache)
    after = loaded(weights, places)
    assert after.defaults.judge_weight > 0 and not before.defaults.judge_weight
    (found,) = Generator(after).generate([GenerationRequest(talk_of(SAYINGS[0]), config.with_(judge_weight=1.0))])
    assert sorted(c.text for c in found) == sorted(c.text for c in plain)
    ranks = [c.features["mean_log_prob"] + c.features["judge"] for c in found if not c.dropped_by]
    assert ranks == sorted(ranks, reverse=True)


def test_only_what_would_be_said_is_judged(judged: Path, places: Places) -> None:
    """Of a reply that the maximum length cut off only whole sentences are said."""
    chat = loaded(judged, places)
    config = chat.defaults.with_(judge_weight=1.0, min_length=1, max_length=12)
    (found,) = Generator(chat).generate([GenerationRequest(talk_of(SAYINGS[0]), config)])
    context = chat.context_format.encode(talk_of(SAYINGS[0]), chat.max_context)
    for candidate in found:
        scores = judge(chat, context, [chat.vocabulary.encode(candidate.text)])
        assert scores == pytest.approx([candidate.features["judge"]], abs=0.02)


def test_many_replies_are_judged_in_pieces_as_they_are_alone(judged: Path, places: Places) -> None:
    chat, replies = loaded(judged, places), [[3 + n % 40, 4 + n // 40, *range(3, 20)] for n in range(60)]
    at_once = judge(chat, [5, 6], replies)
    assert at_once == pytest.approx([judge(chat, [5, 6], [reply])[0] for reply in replies], abs=1e-4)


@torch.no_grad()
def test_what_is_read_once_gives_what_the_whole_network_does(weights: Path, places: Places, tmp_path: Path) -> None:
    model, _ = frozen_network(weights, places.base_cache)
    model.float()
    talks = talks_of(write_judged(tmp_path / "judged.jsonl", 6), places, weights)
    talks = tuple(replace(talk, context=talk.context * (1 + at % 3)) for at, talk in enumerate(talks))
    reading = together(talks, read_talks(model, talks, 1), range(len(talks)), torch.float32)
    batch = side_by_side(talks)
    wanted = read_replies(model, batch) / batch.asked[:, 0].bincount()
    torch.testing.assert_close(mean_log_probs(model, reading, 1), wanted, atol=0.03, rtol=0.02)  # kept in bfloat16


def test_a_stopped_run_leaves_the_weights_alone_and_goes_on_to_the_same_end(
    weights: Path, places: Places, tmp_path: Path
) -> None:
    file, said, ends = write_judged(tmp_path / "judged.jsonl", 12), list[str](), []

    def stop(progress: Progress, done: float, record: dict[str, float]) -> None:
        if progress.step == 4:
            signal.raise_signal(signal.SIGINT)

    def train(folder: str, observe: Observer | None = None) -> dict[str, Any] | None:
        where = tmp_path / folder
        return train_judge(weights, file, where, settings(10), said.append, observe, places.base_cache)

    assert train("parts", stop) is None
    assert not (weights / FILE).exists() and "judge" not in json.loads((weights / "training.json").read_text())
    for folder in ("parts", "whole"):
        record = train(folder)
        assert record is not None and record["run"]["steps"] == 10 and record["data"]["replies"] == 36
        ends.append(read_judge(weights))
    assert ends[0] is not None and ends[1] is not None
    torch.testing.assert_close(ends[0].vector, ends[1].vector, atol=1e-4, rtol=1e-3)
    assert any("100%, 0.0 minutes left" in line for line in said)
    assert any("Stopped at step 4" in line for line in said)
    assert json.loads((weights / "training.json").read_text())["judge"]["settings"]["rank"] == 2
    assert (weights / "MODEL_CARD.md").read_text().count(JUDGE_HEADING) == 1


def test_the_checkpoint_of_another_run_is_refused(judged: Path, places: Places, tmp_path: Path) -> None:
    file = write_judged(tmp_path / "judged.jsonl", 6)
    with pytest.raises(UserError, match="other weights, replies or settings"):
        train_judge(judged, file, tmp_path / "judging", settings(), print, base_cache=places.base_cache)


def test_too_few_talks_are_refused(weights: Path, places: Places, tmp_path: Path) -> None:
    file = write_judged(tmp_path / "judged.jsonl", 3)
    with pytest.raises(UserError, match=r"3 talks .* too few"):
        train_judge(weights, file, tmp_path / "judging", settings(talks=8), print, base_cache=places.base_cache)


def test_every_talk_comes_once_a_pass_and_resumed_runs_take_the_same_ones() -> None:
    lengths = {number: number % 7 for number in range(1, 41)}
    whole = list(itertools.islice(orders(lengths, 4, 0, 0), 20))
    assert sorted(itertools.chain(*whole[:10])) == sorted(itertools.chain(*whole[10:])) == sorted(lengths)
    assert whole[:10] != whole[10:]
    assert list(itertools.islice(orders(lengths, 4, 0, 13), 7)) == whole[13:]


def test_held_out_talks_are_never_learnt_from(weights: Path, places: Places, tmp_path: Path) -> None:
    """Their grades may say the opposite: the judge is the same."""
    file, ends = write_judged(tmp_path / "judged.jsonl", 6), []
    held = [is_held_out(talk, 2) for talk in talks_of(file, places, weights)]
    assert 0 < sum(held) < 6
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in itertools.compress(rows, held):
        row["replies"] = [reply | {"grade": 2 - reply["grade"]} for reply in row["replies"]]
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for number, each in enumerate((file, other)):
        few, folder = settings(5, held_out=2, talks=1), tmp_path / f"judging-{number}"
        record = train_judge(weights, each, folder, few, print, base_cache=places.base_cache)
        assert record is not None and record["held_out"]["talks"] == sum(held)
        ends.append(read_judge(weights))
    assert ends[0] is not None and ends[1] is not None
    assert torch.equal(ends[0].vector, ends[1].vector)


def test_a_block_that_is_not_there_is_refused(weights: Path, places: Places, tmp_path: Path) -> None:
    file = write_judged(tmp_path / "judged.jsonl")
    with pytest.raises(UserError, match="has 3 blocks; --first is 0 to 2"):
        train_judge(weights, file, tmp_path / "judging", settings(first=3), print, base_cache=places.base_cache)


def with_decoding(weights: Path, places: Places, **decoding: float) -> ChatModel:
    path = weights / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"decoding": decoding}))
    return loaded(weights, places)


def test_weights_without_the_judge_that_they_ask_for_are_refused(judged: Path, places: Places) -> None:
    chat = with_decoding(judged, places, judge_weight=1.0)
    (judged / FILE).unlink()
    with pytest.raises(UserError, match="lacks its judge"):
        loaded(judged, places)
    without = with_decoding(judged, places, judge_weight=0.0)
    assert not has_judge(without.seq2seq) and without.fingerprint != chat.fingerprint
    with pytest.raises(ValueError, match="has no judge"):
        judge(without, [3], [[4]])


def test_a_judge_of_another_network_is_refused(judged: Path, places: Places) -> None:
    found = read_judge(judged)
    assert found is not None
    down = "decoder.layers.1.self_attn.o_proj.down"
    assert down in found.corrections
    lacking = {name: tensor for name, tensor in found.corrections.items() if name != down}
    wrong = [
        Judge(torch.ones(5), {}),
        Judge(found.vector, lacking),
        Judge(found.vector, {**found.corrections, down: torch.ones(2, 5)}),
        Judge(found.vector, {name.replace("layers.1", "layers.7"): t for name, t in found.corrections.items()}),
    ]
    for each in wrong:
        write_judge(judged, each)
        with pytest.raises(UserError, match=r"fit|another network"):
            loaded(judged, places)


def test_a_whole_network_gets_a_judge_by_the_command(places: Places, no_filter: Filtering, tmp_path: Path) -> None:
    run(tiny(steps=2, method="full"), places, no_filter, QUIET, lambda line: None)
    file = write_judged(tmp_path / "judged.jsonl", 24)
    words = [str(places.export), "--replies", str(file), "--out", str(tmp_path / "judging"), "--minutes", "0.005"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0 and "The judge is in" in done.output
    assert places.export is not None and (places.export / FILE).stat().st_mode & 0o777 == 0o644
    chat = loaded(places.export, places)
    assert has_judge(chat.seq2seq)
    assert judge(chat, [5, END], [[6, 7]])[0] > float("-inf")
