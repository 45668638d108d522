"""Rates with honest intervals: means over replies that cluster in conversations, and differences between systems.

Standard errors are the linearised (sandwich) ones of a ratio mean over clusters with the factor G/(G-1) (Cochran 1977,
section 6; Liang and Zeger 1986) on Student's t with G-1 degrees of freedom; the interval of one mean has Wilson's shape
at the effective sample size (Korn and Graubard 1998), so that it never leaves [0, 1] and is not empty at 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from eval.ssa.votes import Floats

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% interval. ``design_effect``: how much clustering inflates the variance of ``n`` replies."""

    mean: float
    low: float
    high: float
    standard_error: float
    n: int
    clusters: int
    design_effect: float

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f}% [{100 * self.low:.1f}, {100 * self.high:.1f}]"


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean of one system less that of another. ``p``: two-sided, of no difference at all."""

    difference: float
    low: float
    high: float
    standard_error: float
    p: float
    clusters: int


def clustered_mean(values: Sequence[float], clusters: Sequence[str], level: float = LEVEL) -> Estimate:
    """Mean of values in [0, 1], one a reply, with an interval that knows which replies hang together."""
    y = np.asarray(values, dtype=float)
    n = len(y)
    if not n:
        raise ValueError("there is no reply to average")
    mean = float(y.mean())
    sums = _cluster_sums(y - mean, clusters)
    groups = len(sums)
    if groups < 2:
        return Estimate(mean, 0.0, 1.0, float("nan"), n, groups, float("nan"))
    variance = groups / (groups - 1) * float(sums @ sums) / n**2
    simple = float(y.var(ddof=1)) / n if n > 1 else 0.0
    low, high = _wilson(mean, variance, groups, level)
    return Estimate(mean, low, high, variance**0.5, n, groups, variance / simple if simple else 1.0)


def _wilson(mean: float, variance: float, groups: int, level: float) -> tuple[float, float]:
    """Wilson's interval for a mean in [0, 1] whose variance was estimated from ``groups`` clusters."""
    quantile = float(stats.t.ppf((1 + level) / 2, groups - 1))
    effective = mean * (1 - mean) / variance if variance > 1e-12 else float(groups)
    square = quantile**2 / effective
    centre = (mean + square / 2) / (1 + square)
    half = (square * mean * (1 - mean) + square**2 / 4) ** 0.5 / (1 + square)
    return max(0.0, centre - half), min(1.0, centre + half)


def compare(
    first: Sequence[float],
    first_clusters: Sequence[str],
    second: Sequence[float],
    second_clusters: Sequence[str],
    level: float = LEVEL,
) -> Difference:
    """First less second. Clusters of the same name (one context, two systems) are paired: a narrower interval."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if not len(a) or not len(b):
        raise ValueError("both systems need a reply")
    gap = float(a.mean() - b.mean())
    parts_a = _named_sums((a - a.mean()) / len(a), first_clusters)
    parts_b = _named_sums((b - b.mean()) / len(b), second_clusters)
    variance, freedom = _variance_of_gap(parts_a, parts_b)
    groups = len(parts_a.keys() | parts_b.keys())
    if freedom < 1:
        return Difference(gap, -1.0, 1.0, float("nan"), 1.0, groups)
    if variance == 0.0:
        return Difference(gap, gap, gap, 0.0, 1.0 if gap == 0 else 0.0, groups)
    error = variance**0.5
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    p = float(2 * stats.t.sf(abs(gap) / error, freedom))
    return Difference(gap, max(-1.0, gap - half), min(1.0, gap + half), error, p, groups)


def _variance_of_gap(first: dict[str, float], second: dict[str, float]) -> tuple[float, float]:
    """Variance of the gap and its degrees of freedom: paired over shared clusters, else Welch and Satterthwaite."""
    if first.keys() & second.keys():
        both = np.array([first.get(key, 0.0) - second.get(key, 0.0) for key in first.keys() | second.keys()])
        return len(both) / max(len(both) - 1, 1) * float(both @ both), len(both) - 1
    if min(len(first), len(second)) < 2:
        return float("nan"), 0
    parts = [(len(s) / (len(s) - 1) * sum(v * v for v in s.values()), len(s) - 1) for s in (first, second)]
    total = sum(variance for variance, _ in parts)
    if total == 0.0:
        return 0.0, sum(freedom for _, freedom in parts)
    return total, total**2 / sum(variance**2 / freedom for variance, freedom in parts)


def intraclass_correlation(values: Sequence[float], clusters: Sequence[str]) -> float:
    """The one-way analysis-of-variance estimate of how alike replies of one cluster are; at least 0."""
    y = np.asarray(values, dtype=float)
    index, sizes = _index(clusters)
    groups, n = len(sizes), len(y)
    if groups < 2 or n <= groups:
        return 0.0
    means = np.bincount(index, weights=y) / sizes
    between = float(sizes @ (means - y.mean()) ** 2) / (groups - 1)
    within = float(np.sum((y - means[index]) ** 2)) / (n - groups)
    typical = (n - float(sizes @ sizes) / n) / (groups - 1)
    bottom = between + (typical - 1) * within
    return max(0.0, (between - within) / bottom) if bottom > 0 else 0.0


def _index(clusters: Sequence[str]) -> tuple[NDArray[np.int64], Floats]:
    _, index, sizes = np.unique(np.asarray(clusters), return_inverse=True, return_counts=True)
    return index.astype(np.int64), sizes.astype(float)


def _cluster_sums(values: Floats, clusters: Sequence[str]) -> Floats:
    index, _ = _index(clusters)
    sums: Floats = np.bincount(index, weights=values).astype(np.float64)
    return sums


def _named_sums(values: Floats, clusters: Sequence[str]) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name, value in zip(clusters, values, strict=True):
        sums[name] = sums.get(name, 0.0) + float(value)
    return sums
