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


def difference_bounds(first: tuple[int, int], second: tuple[int, int], level: float = 0.95) -> tuple[float, float]:
    """One-sided bounds, each at ``level``, of the difference of two independent shares given as (hits, count).

    Newcombe 1998 ("Interval estimation for the difference between independent proportions"), method 10: the Wilson
    score ends of both shares, put together. (-1, 1) where nothing was looked at.
    """
    if not first[1] or not second[1]:
        return -1.0, 1.0
    (p1, low1, high1), (p2, low2, high2) = _wilson(*first, level), _wilson(*second, level)
    low = p1 - p2 - math.hypot(p1 - low1, high2 - p2)
    return low, p1 - p2 + math.hypot(high1 - p1, p2 - low2)


def _wilson(hits: int, count: int, level: float) -> tuple[float, float, float]:
    """(share, lower end, upper end), each end at the one-sided ``level`` (Wilson 1927)."""
    from statistics import NormalDist

    z, share = NormalDist().inv_cdf(level), hits / count
    centre, size = share + z * z / (2 * count), z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return share, max((centre - size) / (1 + z * z / count), 0.0), min((centre + size) / (1 + z * z / count), 1.0)


def enough_for(limit: float, level: float = 0.95) -> int:
    """How many must be looked at, with none seen, before :func:`upper_bound` is at most ``limit``: about 3 / limit."""
    return math.ceil(math.log(1 - level) / math.log1p(-limit)) if 0 < limit < 1 else 1
