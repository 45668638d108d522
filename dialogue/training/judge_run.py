"""One run that makes a judge: weights and judged replies in, ``judge.safetensors`` beside the weights out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedModel, Rotary
from dialogue.models.judge import write_judge
from dialogue.models.loading import trained_tensors
from dialogue.training.judged import JudgedTalk, JudgedTalks, read_judged
from dialogue.training.judging import (
    JudgeInTraining,
    JudgeSettings,
    Reading,
    is_held_out,
    mean_log_probs,
    orders,
    read_talks,
    together,
)
from dialogue.training.network import computing_dtype
from dialogue.training.progress import tenths
from dialogue.training.train import Observer, Trainer

JUDGE_WEIGHT = 0.5  # beside PMI or the mean log-probability; docs/log-training.md has what other weights did


@dataclass(frozen=True, slots=True)
class Measured:
    """Held-out talks: the share of pairs (one sensible, one not) that the judge orders rightly, and of talks whose
    first reply is (sensible, specific) by the mean log-probability, by the judge, and by both.
    """

    talks: int
    pairs: float
    likeliest: tuple[float, float]
    judged: tuple[float, float]
    both: tuple[float, float]


def train_judge(
    weights: Path,
    file: Path,
    folder: Path,
    settings: JudgeSettings,
    say: Callable[[str], None],
    observe: Observer | None = None,
    base_cache: Path | None = None,
) -> dict[str, Any]:
    """Train a judge for the weights in ``weights`` and put it beside them; the record of the run.

    A stopped run goes on from the checkpoint in ``folder``. Raises UserError for weights or replies of no use.
    """
    model, tokenizer = frozen_network(weights, base_cache, say)
    if not 0 <= settings.first < model.config.layers:
        raise UserError(f"The network has {model.config.layers} blocks; --first is 0 to {model.config.layers - 1}.")
    judged = read_judged(file, tokenizer)
    held = [number for number, talk in enumerate(judged.all) if is_held_out(talk, settings.held_out)]
    read = read_talks(model, judged.all, settings.first, tenths(len(judged.all), "Reading the judged talks once", say))
    measure = _Measure(model, judged.all, read, held, settings)
    judge = JudgeInTraining(model, settings)
    lengths = {n: len(talk.context) for n, talk in enumerate(judged.all) if n not in set(held)}

    def batches_from(number: int) -> Iterator[Reading]:
        for numbers in orders(lengths, settings.talks, settings.seed, number):
            yield together(judged.all, read, numbers, model.embed.weight.dtype)

    progress = Trainer(judge.trained(), judge, batches_from, settings.train, folder, None, observe).run()
    found = measure(judge)
    record = _record(settings, judged, found, progress.step, progress.seconds)
    _hand_over(weights, judge, record)
    say(f"{describe(found)} The judge is in {weights}.")
    return record


def frozen_network(
    weights: Path, base_cache: Path | None = None, say: Callable[[str], None] = lambda line: None
) -> tuple[AlignedModel, Tokenizer]:
    """The network that chats with the weights in a folder, in the training form, and its tokenizer."""
    config, tensors, tokenizer = trained_tensors(weights, base_cache, say)
    with torch.device("meta"):
        model = AlignedModel(config)
    model.rotary = Rotary(config.head_dim, config.rope_theta)
    model.load_state_dict({name: tensors[name].to(computing_dtype()) for name in tensors}, assign=True)
    return model.requires_grad_(False), Tokenizer.from_file(str(tokenizer))


class _Measure:
    """How well held-out talks' replies are chosen; what the network itself finds likely is asked before it changes."""

    def __init__(
        self,
        model: AlignedModel,
        talks: Sequence[JudgedTalk],
        read: Sequence[tuple[Tensor, Tensor]],
        held: Sequence[int],
        settings: JudgeSettings,
    ) -> None:
        dtype = model.embed.weight.dtype
        self.readings = [together(talks, read, [number], dtype) for number in held]
        self.likely = [mean_log_probs(model, reading, settings.first) for reading in self.readings]

    @torch.no_grad()
    def __call__(self, judge: JudgeInTraining) -> Measured | None:
        """None where no talk is held out."""
        if not self.readings:
            return None
        scores = [judge.scores(reading) for reading in self.readings]
        grades = [reading.replies.grades for reading in self.readings]
        both = [likely + JUDGE_WEIGHT * score for likely, score in zip(self.likely, scores, strict=True)]
        firsts = [_first(by, grades) for by in (self.likely, scores, both)]
        return Measured(len(grades), _ordered(scores, grades), *firsts)


def _first(scores: Sequence[Tensor], grades: Sequence[Tensor]) -> tuple[float, float]:
    """The shares of talks whose best-scored reply is sensible, and specific as well."""
    best = torch.tensor([int(grade[score.argmax()]) for score, grade in zip(scores, grades, strict=True)])
    return float((best > 0).float().mean()), float((best > 1).float().mean())


def _ordered(scores: Sequence[Tensor], grades: Sequence[Tensor]) -> float:
    """The share of pairs of a sensible reply and one that is not, of one talk, in which the former scores higher."""
    right = [s[g > 0][:, None] > s[g == 0][None, :] for s, g in zip(scores, grades, strict=True)]
    pairs = torch.cat([each.flatten() for each in right]).float()
    return float(pairs.mean()) if len(pairs) else 0.0


def describe(found: Measured | None) -> str:
    """The measurement in a sentence."""
    if found is None:
        return "No talk was held out."
    first = [f"{sensible:.0%} / {specific:.0%}" for sensible, specific in (found.likeliest, found.judged, found.both)]
    return (
        f"Of {found.talks} held-out talks the likeliest reply is sensible / specific in {first[0]}, the judge's in "
        f"{first[1]}, the first by both in {first[2]}; the judge orders {found.pairs:.0%} of the pairs rightly."
    )


def _record(
    settings: JudgeSettings, judged: JudgedTalks, found: Measured | None, steps: int, seconds: float
) -> dict[str, Any]:
    counts = {"talks": len(judged.all), "replies": judged.reply_count, "sha256": judged.sha256}
    run = {"steps": steps, "minutes": round(seconds / 60, 1)}
    return {"settings": asdict(settings), "data": counts, "run": run, "held_out": asdict(found) if found else None}


def _hand_over(weights: Path, judge: JudgeInTraining, record: dict[str, Any]) -> None:
    """The judge beside the weights, its weight in their configuration where none was chosen, its record in theirs."""
    write_judge(weights, judge.judge())
    default = {"judge_weight": JUDGE_WEIGHT}
    _change(weights / "config.json", lambda kept: kept.update(decoding=default | kept.get("decoding", {})))
    _change(weights / "training.json", lambda kept: kept.update(judge=record))


def _change(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file; one that is not there begins empty."""
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    change(value)
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
