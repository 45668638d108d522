"""``evaluate correlate``: rated files in, a table of how well every score tracks people out, with plot and report.

Scores are kept as they are computed (``scores.jsonl``): a run that was stopped goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bot.batch import Output
from dialogue.errors import UserError
from dialogue.models.chat_model import ChatModel
from eval.offline.autossa import fit
from eval.offline.autossa_exam import examined, usable
from eval.offline.corpora import spread
from eval.offline.correlation import Judged, correlations
from eval.offline.jsonl import numbered_rows
from eval.offline.ratings import Rated, read_ratings
from eval.offline.reply_scores import Meaning, Scorer, scores_of
from eval.offline.suite import digest

GROUP = 16
"""Rated items scored together; fixed, so that a resumed run scores the same batches."""
MOST_OF_A_GROUP = 5
SIGNS = (
    "annotations",
    "coherence_scores_1_to_5",
    "rating_mean_1_to_5",
    "overall_mean_1_to_5",
    "bot_profile",
    "sensible",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """How much is scored: rated replies of each data set, rated talks of each (0: all), replies of a whole talk."""

    per_set: int = 300
    talks_per_set: int = 100
    per_talk: int = 2


def rated_files(folder: Path) -> list[Path]:
    """The files of a folder whose first row carries human ratings. UserError when there is none."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; name the folder with the rated files.")
    found = [path for path in sorted([*folder.glob("*.jsonl"), *folder.glob("*.jsonl.zst")]) if _is_rated(path)]
    if not found:
        raise UserError(
            f"{folder} holds no file with human ratings; see docs/evaluation.md for the forms that are read."
        )
    return found


def _is_rated(path: Path) -> bool:
    first = next(iter(numbered_rows(path)), None)
    return first is not None and any(sign in first[1] for sign in SIGNS)


def sampled(files: Iterable[Path], sample: Sample) -> list[Rated]:
    """The rated items of the files: whole contexts or talks, chosen by the hash of their names."""
    kept: list[Rated] = []
    for path in files:
        by_set: dict[str, list[Rated]] = {}
        for rated in read_ratings(path):
            by_set.setdefault(rated.dataset, []).append(rated)
        for own in by_set.values():
            count = sample.per_set if own[0].level == "reply" else sample.talks_per_set
            kept += [_shorter(rated, sample.per_talk) for rated in _some(own, count)]
    return kept


def _some(own: list[Rated], count: int) -> list[Rated]:
    if not count or len(own) <= count:
        return own
    own = _few_of_a_talk(own)
    order = sorted({rated.group for rated in own}, key=lambda group: digest(group))
    chosen: set[str] = set()
    for group in order:
        if sum(rated.group in chosen for rated in own) >= count:
            break
        chosen.add(group)
    return [rated for rated in own if rated.group in chosen]


def _few_of_a_talk(own: Sequence[Rated]) -> list[Rated]:
    """At most MOST_OF_A_GROUP of a group, evenly spread: many talks say more than many replies of few."""
    groups: dict[str, list[Rated]] = {}
    for rated in own:
        groups.setdefault(rated.group, []).append(rated)
    return [rated for members in groups.values() for rated in _spread(members, MOST_OF_A_GROUP)]


def _spread(own: Sequence[Rated], count: int) -> list[Rated]:
    return [own[place] for place in spread(range(len(own)), count)]


def _shorter(rated: Rated, per_talk: int) -> Rated:
    places = spread(list(range(len(rated.exchanges))), per_talk)
    return replace(rated, exchanges=tuple(rated.exchanges[place] for place in places))


def judge(
    rated: Sequence[Rated],
    model: ChatModel | None,
    make_meaning: Callable[[Sequence[str]], Meaning] | None,
    out: Path,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Judged]:
    """Score every item, or read what was scored before. UserError when the folder was begun with another model."""
    corpus = [text for each in rated for e in each.exchanges for text in (e.context[-1], e.reply)]
    scorer = Scorer(model, make_meaning(corpus) if make_meaning else None)
    made_by = {
        "model": model.fingerprint if model else None, "meaning": make_meaning is not None,
        "items": digest([asdict(each) for each in rated]),
    }  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    output = Output(out / "scores.jsonl", made_by)
    on_done(output.done)
    with output.open() as file:
        for start, group in _groups(rated):
            if start + len(group) > output.done:
                lines = _lines(scorer, group)
                file.writelines(lines[max(output.done - start, 0) :])
                file.flush()
                on_done(len(lines[max(output.done - start, 0) :]))
    rows = [json.loads(line) for line in (out / "scores.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Judged(each, _numbers(row)) for each, row in zip(rated, rows, strict=True)]


def _groups(rated: Sequence[Rated]) -> Iterator[tuple[int, Sequence[Rated]]]:
    """Neighbours of one language, GROUP at most, each group with its place."""
    start = 0
    for end in range(1, len(rated) + 1):
        if end == len(rated) or end - start == GROUP or rated[end].language != rated[start].language:
            yield start, rated[start:end]
            start = end


def _lines(scorer: Scorer, group: Sequence[Rated]) -> list[str]:
    found = iter(scorer.scores([exchange for each in group for exchange in each.exchanges], group[0].language))
    rows = [scores_of(each, [next(found) for _ in each.exchanges]) for each in group]
    return [json.dumps(row) + "\n" for row in rows]


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {name: float("nan") if value is None else float(value) for name, value in row.items()}


def correlated(judged: Sequence[Judged], *, resamples: int, seed: int) -> dict[str, Any]:
    """The table and, where there are rated replies with likelihoods, the automatic SSA's own examination."""
    data: dict[str, Any] = {"correlations": correlations(judged, resamples=resamples, seed=seed)}
    model = fit(usable(judged))
    if model is not None and len(usable(judged)) >= 60:
        data["automatic_ssa"] = examined(judged, resamples=resamples, seed=seed) | {"model": asdict(model)}
    return data
