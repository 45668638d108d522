"""Votes of raters about replies, as plain values, and their majority. No database, no screen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from eval.ssa.questions import QUESTIONS, SENSIBLE, SPECIFIC

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one rater said about one reply: 0 or 1 by label."""

    rater: str
    labels: Mapping[str, int]
    seconds: float | None = None
    given_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RatedReply:
    """One reply with its votes. Replies of one ``cluster`` (a conversation, or a context) are not independent."""

    system: str
    cluster: str
    reply: str
    votes: tuple[Vote, ...]
    language: str = "en"
    gold: Mapping[str, int] = field(default_factory=dict)


def majority(values: Sequence[int]) -> int:
    """1 where more than half say so; a tie is in doubt, and in doubt the answer is no."""
    return int(2 * sum(values) > len(values))


def by_rule(labels: Mapping[str, int]) -> dict[str, int]:
    """The labels of one vote under the protocol: without sense, nothing is specific or interesting."""
    if labels.get(SENSIBLE) != 0:
        return dict(labels)
    return {k: 0 if k in QUESTIONS and QUESTIONS[k].only_if_sensible else v for k, v in labels.items()}


def settled(reply: RatedReply, label: str) -> int | None:
    """The majority of a reply's votes on a label, each vote read under the protocol; None without votes."""
    values = [labels[label] for vote in reply.votes if label in (labels := by_rule(vote.labels))]
    return majority(values) if values else None


def score(reply: RatedReply) -> float | None:
    """The reply's part of the SSA: the mean of its two settled labels (0, 0.5 or 1); None without votes."""
    sensible, specific = settled(reply, SENSIBLE), settled(reply, SPECIFIC)
    return None if sensible is None or specific is None else (sensible + min(sensible, specific)) / 2


def raw_rate(replies: Iterable[RatedReply], label: str) -> float | None:
    """The share of ones among all votes on a label as they were given, without majority or rule."""
    values = [vote.labels[label] for reply in replies for vote in reply.votes if label in vote.labels]
    return float(np.mean(values)) if values else None


def rate_matrix(replies: Sequence[RatedReply], label: str) -> NDArray[np.int64]:
    """(replies, values) counts of the votes on a label, for values 0 … the largest one given."""
    given = [[vote.labels[label] for vote in reply.votes if label in vote.labels] for reply in replies]
    width = max((max(values) for values in given if values), default=1) + 1
    return np.array([np.bincount(values, minlength=max(width, 2)) for values in given], dtype=np.int64).reshape(
        len(replies), max(width, 2)
    )
