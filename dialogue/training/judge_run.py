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
from dialogue.models.base import file_sha256
from dialogue.models.checkpoint import weight_files
from dialogue.models.judge import write_judge
from dialogue.models.linear import fast_dtype
from dialogue.models.loading import ADAPTER_FILES, trained_tensors
from dialogue.models.vocabulary import TokenizerVocabulary
from dialogue.training.card import with_judge
from dialogue.training.checkpoints import NAME as CHECKPOINT
from dialogue.training.judged import JudgedTalks, read_judged
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
from dialogue.training.progress import tenths
from dialogue.training.train import Observer, Trainer

JUDGE_WEIGHT = 0.5  # beside PMI or the mean log-probability; docs/log-training.md has what other weights did
MARK = "judge_run.json"


@dataclass(frozen=True, slots=True)
class Measured:
    """Held-out talks: the share of pairs (one sensible, one not) that the judge orders rightly, and of talks whose
    first reply is (sensible, specific) by the mean log-probability, by the judge, and by the sum of the former and
    JUDGE_WEIGHT times the latter.
    """

    talks: int
    pairs: float
    likeliest: tuple[float, float]
    judged: tuple[float, float]
    both: tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Material:
    """A frozen network, judged talks read as far as it never changes, and the numbers to measure on and learn from."""

    model: AlignedModel
    talks: JudgedTalks
    read: Sequence[tuple[Tensor, Tensor]]
    held: list[int]
    learnt: list[int]

    def reading(self, numbers: Sequence[int]) -> Reading:
        """Some of the talks side by side."""
        return together(self.talks.all, self.read, numbers, self.model.embed.weight.dtype)


def train_judge(
    weights: Path,
    file: Path,
    folder: Path,
    settings: JudgeSettings,
    say: Callable[[str], None],
    observe: Observer | None = None,
    base_cache: Path | None = None,
) -> dict[str, Any] | None:
    """Train a judge for the weights in ``weights`` and put it beside them; the record, None when asked to stop before.

    A stopped run goes on from the checkpoint in ``folder``. Raises UserError for weights, replies or a folder of no
    use.
    """
    model, tokenizer = frozen_network(weights, base_cache, say)
    settings = settings.for_layers(model.config.layers)
    judged = read_judged(file, tokenizer)
    _same_run(folder, weights, judged, settings)
    material = _material(model, judged, settings, say)
    likely = [mean_log_probs(model, material.reading([number]), settings.first) for number in material.held]
    judge = JudgeInTraining(model, settings)
    lengths = {number: judged.all[number].size for number in material.learnt}

    def batches_from(number: int) -> Iterator[Reading]:
        return map(material.reading, orders(lengths, settings.talks, settings.seed, number))

    trainer = Trainer(judge.trained(), judge, batches_from, settings.train, folder, None, observe)
    progress = trainer.run()
    if trainer.done() < 1:
        say(f"Stopped at step {progress.step}; the same command goes on from there.")
        return None
    found = _measured(judge, material, likely)
    record = _record(settings, judged, found, progress.step, progress.seconds)
    _hand_over(weights, judge, record)
    say(f"{describe(found)} The judge is in {weights}." if found else f"The judge is in {weights}.")
    return record


def frozen_network(
    weights: Path, base_cache: Path | None = None, say: Callable[[str], None] = lambda line: None
) -> tuple[AlignedModel, Tokenizer]:
    """The network that chats with the weights in a folder, in the training form on the processor, and its tokenizer."""
    config, tensors, tokenizer = trained_tensors(weights, base_cache, say)
    TokenizerVocabulary.from_file(tokenizer)  # says in a sentence what is wrong with the file
    with torch.device("meta"):
        model = AlignedModel(config)
    model.rotary = Rotary(config.head_dim, config.rope_theta)
    try:
        model.load_state_dict({name: tensors[name].to(fast_dtype()) for name in tensors}, assign=True)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"The weights in {weights} do not fit their configuration ({error}).") from error
    return model.requires_grad_(False), Tokenizer.from_file(str(tokenizer))


def _same_run(folder: Path, weights: Path, judged: JudgedTalks, settings: JudgeSettings) -> None:
    """Refuse to go on from the checkpoint of a run with other weights, replies or settings; note what this one has."""
    files = sorted(weights.glob(ADAPTER_FILES)) or weight_files(weights)
    mark = {
        "weights": [file_sha256(path) for path in files],
        "replies": judged.sha256,
        **asdict(settings),
        "train": None,
    }
    path = folder / MARK
    if (folder / CHECKPOINT).is_file() and (not path.is_file() or json.loads(path.read_text("utf-8")) != mark):
        raise UserError(
            f"{folder} holds a run with other weights, replies or settings; name another folder with --out."
        )
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(mark) + "\n", encoding="utf-8")


def _material(
    model: AlignedModel, judged: JudgedTalks, settings: JudgeSettings, say: Callable[[str], None]
) -> _Material:
    """Raises UserError where fewer talks are left to learn from than a step takes."""
    held = [number for number, talk in enumerate(judged.all) if is_held_out(talk, settings.held_out)]
    learnt = sorted(set(range(len(judged.all))) - set(held))
    if len(learnt) < settings.talks:
        raise UserError(
            f"{len(judged.all)} talks with a better and a worse reply are too few: a step takes {settings.talks}, "
            f"and one in {settings.held_out} is kept to measure on."
        )
    read = read_talks(model, judged.all, settings.first, tenths(len(judged.all), "Reading the judged talks once", say))
    return _Material(model, judged, read, held, learnt)


@torch.no_grad()
def _measured(judge: JudgeInTraining, material: _Material, likely: Sequence[Tensor]) -> Measured | None:
    """How held-out talks' replies are chosen, where there are some; ``likely``: their mean log-probabilities."""
    if not material.held:
        return None
    grades = [torch.tensor(material.talks.all[number].grades) for number in material.held]
    scores = [judge.scores(material.reading([number])) for number in material.held]
    both = [mean + JUDGE_WEIGHT * score for mean, score in zip(likely, scores, strict=True)]
    firsts = [_first(by, grades) for by in (likely, scores, both)]
    return Measured(len(grades), _ordered(scores, grades), *firsts)


def _first(scores: Sequence[Tensor], grades: Sequence[Tensor]) -> tuple[float, float]:
    """The shares of talks whose best-scored reply is sensible, and specific as well."""
    best = torch.tensor([int(grade[score.argmax()]) for score, grade in zip(scores, grades, strict=True)])
    return float((best > 0).float().mean()), float((best > 1).float().mean())


def _ordered(scores: Sequence[Tensor], grades: Sequence[Tensor]) -> float:
    """The share of pairs of a sensible reply and one that is not, of one talk, in which the former scores higher; not
    a number where there is no such pair.
    """
    right = [s[g > 0][:, None] > s[g == 0][None, :] for s, g in zip(scores, grades, strict=True)]
    return float(torch.cat([each.flatten() for each in right]).float().mean())


def describe(found: Measured) -> str:
    """The measurement in a sentence."""
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
    """The judge beside the weights; then its weight in their configuration where none was chosen, and its record."""
    default = {"judge_weight": JUDGE_WEIGHT}
    try:
        write_judge(weights, judge.judge())
        _change(weights / "config.json", lambda kept: {**kept, "decoding": default | kept.get("decoding", {})})
        _change(weights / "training.json", lambda kept: {**kept, "judge": record})
        card = weights / "MODEL_CARD.md"
        _write(card, with_judge(card.read_text("utf-8") if card.is_file() else "", record))
    except (OSError, ValueError) as error:
        raise UserError(f"The judge cannot be written to {weights}: {error}. The same command tries again.") from error


def _change(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change a JSON file; one that is not there begins empty."""
    kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    _write(path, json.dumps(change(kept), indent=1, ensure_ascii=False) + "\n")


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    partial = path.with_name(f".{path.name}.new")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
