"""How well and how fast each rater works, and who needs a second look. A flag is a question, not a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sqlalchemy import select
from sqlalchemy.orm import Session

from eval.ssa.database import RatingDatabase
from eval.ssa.questions import SENSIBLE, SPECIFIC
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, RaterRow, State
from eval.ssa.votes import majority

TOO_FAST_S = 1.5
"""A median below this many seconds a reply is faster than anybody reads."""
GOLD_EXPECTED = 0.8
"""The gold accuracy that a careful rater reaches; lower is flagged when chance hardly explains it (p < 0.05)."""
ALIKE_SHARE = 0.97
FEWEST = 20
"""Replies before a rater's habits are judged."""


@dataclass(frozen=True, slots=True)
class RaterQuality:
    """One rater. ``gold``: right answers of ``gold_n``; ``agreement``: share of replies where they side with others."""

    rater: str
    kind: str
    done: int
    skipped: int
    gold: int
    gold_n: int
    median_seconds: float | None
    agreement: float | None
    flags: tuple[str, ...]


def rater_quality(database: RatingDatabase, study_id: int) -> list[RaterQuality]:
    """Every rater who gave at least one answer, by name."""
    with database.reading() as session:
        rows = _rows(session, study_id)
    others = _others(rows)
    names = sorted({row.name for row in rows})
    return [_of(name, [row for row in rows if row.name == name], others) for name in names]


@dataclass(frozen=True, slots=True)
class _Given:
    name: str
    kind: str
    item_id: int
    role: str
    state: int
    labels: Mapping[str, int]
    expected: Mapping[str, int]
    seconds: float | None


def _rows(session: Session, study_id: int) -> list[_Given]:
    query = (
        select(
            RaterRow.name, RaterRow.kind, AssignmentRow.item_id, ItemRow.role, AssignmentRow.state,
            AssignmentRow.labels, ItemRow.expected, AssignmentRow.seconds,
        )
        .join(AssignmentRow, AssignmentRow.rater_id == RaterRow.id)
        .join(ItemRow, ItemRow.id == AssignmentRow.item_id)
        .where(RaterRow.study_id == study_id, AssignmentRow.state != State.LEASED)
        .where(ItemRow.role != ItemRole.PRACTICE)
    )  # fmt: skip
    return [_Given(*row) for row in session.execute(query)]


def _others(rows: Sequence[_Given]) -> dict[int, list[tuple[str, Mapping[str, int]]]]:
    """All answers by item."""
    found: dict[int, list[tuple[str, Mapping[str, int]]]] = {}
    for row in rows:
        if row.state == State.DONE:
            found.setdefault(row.item_id, []).append((row.name, row.labels))
    return found


def _of(
    name: str, rows: Sequence[_Given], others: Mapping[int, Sequence[tuple[str, Mapping[str, int]]]]
) -> RaterQuality:
    done = [row for row in rows if row.state == State.DONE]
    gold = [row for row in done if row.role == ItemRole.GOLD]
    right = sum(all(row.labels.get(k) == v for k, v in row.expected.items()) for row in gold)
    times = [row.seconds for row in done if row.seconds is not None]
    median = float(np.median(times)) if times else None
    sides = [side for row in done if (side := _side(name, row, others[row.item_id])) is not None]
    agreement = float(np.mean(sides)) if sides else None
    flags = (*_gold_flag(right, len(gold)), *_speed_flag(median, len(done)), *_habit_flags(done, sides))
    return RaterQuality(
        name, rows[0].kind, len(done), len(rows) - len(done), right, len(gold), median, agreement, flags
    )


def _side(name: str, row: _Given, answers: Sequence[tuple[str, Mapping[str, int]]]) -> bool | None:
    """Whether this answer is that of the other raters' majority, on both labels; None with fewer than two others."""
    rest = [labels for other, labels in answers if other != name]
    if len(rest) < 2:
        return None
    keys = [key for key in (SENSIBLE, SPECIFIC) if key in row.labels]
    return all(row.labels[key] == majority([labels[key] for labels in rest if key in labels]) for key in keys)


def _gold_flag(right: int, n: int) -> list[str]:
    if n and stats.binomtest(right, n, GOLD_EXPECTED, alternative="less").pvalue < 0.05:
        return [f"gold: {right} of {n} right"]
    return []


def _speed_flag(median: float | None, n: int) -> list[str]:
    if median is not None and n >= FEWEST and median < TOO_FAST_S:
        return [f"fast: {median:.1f} s a reply"]
    return []


def _habit_flags(done: Sequence[_Given], sides: Sequence[bool]) -> list[str]:
    flags = []
    answers = [(row.labels.get(SENSIBLE), row.labels.get(SPECIFIC)) for row in done if SENSIBLE in row.labels]
    if len(answers) >= FEWEST:
        share = max(answers.count(answer) for answer in set(answers)) / len(answers)
        if share >= ALIKE_SHARE:
            flags.append(f"the same answer {share:.0%} of the time")
    if len(sides) >= FEWEST and np.mean(sides) < 0.5:
        flags.append(f"sides with the others on {np.mean(sides):.0%} of the replies")
    return flags
