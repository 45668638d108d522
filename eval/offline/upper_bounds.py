"""Exact intervals of a share, for counts that are small or zero: "none seen" is a bound, never a proof."""

from __future__ import annotations

import math


def clopper_pearson(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact two-sided interval of a share (Clopper and Pearson 1934); (0, 1) where nothing was looked at."""
    from scipy.stats import beta

    if count == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return low, high


def upper_bound(hits: int, count: int, level: float = 0.95) -> float:
    """The exact one-sided upper bound of a share: with none seen in n, 1 - 0.05 ** (1 / n), about 3 / n."""
    from scipy.stats import beta

    if hits >= count:
        return 1.0
    return float(beta.ppf(level, hits + 1, count - hits))


def enough_for(limit: float, level: float = 0.95) -> int:
    """How many must be looked at, with none seen, before :func:`upper_bound` is at most ``limit``: about 3 / limit."""
    return math.ceil(math.log(1 - level) / math.log1p(-limit)) if 0 < limit < 1 else 1
