"""Krippendorff's alpha for any number of raters with gaps, with a bootstrap interval over conversations.

Source: Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability". 1 is perfect agreement, 0 what chance gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eval.ssa.votes import Floats, RatedReply, rate_matrix

Level = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha with its 95% bootstrap interval. ``alpha`` is None where all votes are alike: nothing can be said."""

    alpha: float | None
    low: float | None
    high: float | None
    units: int
    votes: int

    def __str__(self) -> str:
        if self.alpha is None:
            return "undefined (all votes are alike, or no reply has two)"
        return f"{self.alpha:.3f} [{self.low:.3f}, {self.high:.3f}]"


def alpha(counts: NDArray[np.int64], level: Level = "nominal") -> float | None:
    """Alpha of (units, values) counts; units with fewer than two votes say nothing and are left out."""
    kept = counts[counts.sum(axis=1) >= 2].astype(float)
    return _alpha(kept, np.ones(len(kept)), level)


def agreement(
    replies: Sequence[RatedReply], label: str, *, level: Level = "nominal", draws: int = 1000, seed: int = 0
) -> Agreement:
    """Alpha of a label with a percentile interval over resampled clusters (conversations)."""
    counts = rate_matrix(replies, label)
    enough = counts.sum(axis=1) >= 2
    kept = counts[enough].astype(float)
    value = _alpha(kept, np.ones(len(kept)), level)
    found = int(kept.sum())
    if value is None:
        return Agreement(None, None, None, len(kept), found)
    clusters = [reply.cluster for reply, use in zip(replies, enough, strict=True) if use]
    draws_of = _bootstrap(kept, clusters, level, draws, seed)
    low, high = np.percentile(draws_of, [2.5, 97.5]) if draws_of else (value, value)
    return Agreement(value, float(low), float(high), len(kept), found)


def _bootstrap(counts: Floats, clusters: Sequence[str], level: Level, draws: int, seed: int) -> list[float]:
    random = np.random.default_rng(seed)
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    groups = int(index.max()) + 1
    weights = random.multinomial(groups, np.full(groups, 1 / groups), size=draws).astype(float)
    values = (_alpha(counts, row[index], level) for row in weights)
    return [value for value in values if value is not None]


def _alpha(counts: Floats, weights: Floats, level: Level) -> float | None:
    """1 - observed / expected disagreement; ``weights`` says how often each unit is there."""
    votes = counts.sum(axis=1)
    margins = weights @ counts
    total = float(margins.sum())
    distance = _distances(margins, level)
    expected = float(margins @ distance @ margins)
    if total < 2 or expected == 0.0:
        return None
    pairs = np.einsum("uc,ck,uk->u", counts, distance, counts) / (votes - 1)
    return 1.0 - (total - 1) * float(weights @ pairs) / expected


def _distances(margins: Floats, level: Level) -> Floats:
    """(values, values) squared distances between values."""
    n = len(margins)
    if level == "nominal":
        return 1.0 - np.eye(n)
    places = np.arange(n, dtype=float)
    if level == "ordinal":  # the number of votes between two values, half of each end
        places = np.cumsum(margins) - margins / 2
    square: Floats = (places[:, None] - places[None, :]) ** 2
    return square
