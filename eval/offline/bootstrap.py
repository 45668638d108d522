"""Intervals without assumptions: the bootstrap over conversations, paired where two runs answered the same contexts.

Efron 1979; percentile intervals after Efron and Tibshirani 1993, chapter 13; the paired form for comparing systems
after Koehn 2004. Only numbers come in and go out; the seed makes every interval repeatable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Statistic = Callable[[Any], float]
"""Sums of sufficient statistics (P,) -> a value; nan where it is not defined."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95% interval and the units it rests on (``groups`` independent ones)."""

    value: float
    low: float
    high: float
    count: int
    groups: int

    def as_dict(self) -> dict[str, float | int | None]:
        """JSON-ready: nan becomes null."""
        return {
            "value": _number(self.value), "low": _number(self.low), "high": _number(self.high),
            "count": self.count, "groups": self.groups,
        }  # fmt: skip


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def by_group(parts: Array, groups: Sequence[str]) -> Array:
    """(N, P) rows summed by group -> (G, P), groups in order of first appearance."""
    order = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    summed = np.zeros((len(order), parts.shape[1]))
    np.add.at(summed, [order[name] for name in groups], parts)
    return summed


def weights(groups: int, times: int, seed: int) -> NDArray[np.int64]:
    """(times, groups): how often each group is drawn in each resample; equal seeds draw equally, which pairs runs."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(groups, np.full(groups, 1 / groups), size=times)


def estimate(
    parts: Array, groups: Sequence[str], statistic: Statistic, *, times: int = 1000, seed: int = 0
) -> Estimate:
    """``statistic`` of the column sums of ``parts`` (N, P) with a percentile interval over resampled groups."""
    if not len(parts):
        return Estimate(float("nan"), float("nan"), float("nan"), 0, 0)
    summed = by_group(parts, groups)
    drawn = weights(len(summed), times, seed) @ summed
    low, high = interval(np.array([statistic(sums) for sums in drawn]))
    return Estimate(statistic(summed.sum(0)), low, high, len(parts), len(summed))


def interval(values: Array, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of resampled values; resamples where the statistic is not defined are left out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def resampled(
    groups: Sequence[str], statistic: Callable[[NDArray[np.int64]], float], *, times: int = 1000, seed: int = 0
) -> Array:
    """``statistic`` of the row indices of each resample of whole groups; for what has no sufficient statistics."""
    members: dict[str, list[int]] = {}
    for place, name in enumerate(groups):
        members.setdefault(name, []).append(place)
    rows = [np.array(places) for places in members.values()]
    drawn = weights(len(rows), times, seed)
    return np.array([statistic(_together(rows, times_drawn)) for times_drawn in drawn])


def _together(rows: Sequence[NDArray[np.int64]], times: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.tile(own, count) for own, count in zip(rows, times, strict=True) if count])


def jackknife(groups: Sequence[str], statistic: Callable[[NDArray[np.int64]], float], blocks: int = 20) -> Estimate:
    """A block jackknife (Tukey 1958) for statistics that repeated rows would bias, such as counts of distinct things.

    ``statistic`` takes row indices; whole groups are left out together.
    """
    order = {name: place for place, name in enumerate(dict.fromkeys(groups))}
    block = np.array([order[name] for name in groups]) % max(min(blocks, len(order)), 1)
    value = statistic(np.arange(len(groups))) if groups else float("nan")
    used = np.unique(block)
    if len(used) < 2:
        return Estimate(value, float("nan"), float("nan"), len(groups), len(order))
    without = np.array([statistic(np.flatnonzero(block != left_out)) for left_out in used])
    error = float(np.sqrt((len(used) - 1) / len(used) * ((without - without.mean()) ** 2).sum()))
    return Estimate(value, value - 1.96 * error, value + 1.96 * error, len(groups), len(order))


@dataclass(frozen=True, slots=True)
class Difference:
    """Second minus first on the same items: interval, two-sided bootstrap p, and Cohen's d of the item differences."""

    value: float
    low: float
    high: float
    p: float
    effect: float
    count: int

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: nan becomes null."""
        return {
            "value": _number(self.value), "low": _number(self.low), "high": _number(self.high),
            "p": _number(self.p), "effect": _number(self.effect), "count": self.count,
        }  # fmt: skip


def paired(
    first: Array, second: Array, groups: Sequence[str], statistic: Statistic, *, times: int = 2000, seed: int = 0
) -> Difference:
    """The difference of ``statistic`` between two runs over the same items, (N, P) each, groups resampled together."""
    both = by_group(np.concatenate([first, second], axis=1), groups)
    width = first.shape[1]

    def difference(sums: Array) -> float:
        return statistic(sums[width:]) - statistic(sums[:width])

    drawn = np.array([difference(sums) for sums in weights(len(both), times, seed) @ both])
    low, high = interval(drawn)
    each = np.array([statistic(b) - statistic(a) for a, b in zip(first, second, strict=True)])
    return Difference(difference(both.sum(0)), low, high, two_sided(drawn), cohen_d(each), len(first))


def two_sided(drawn: Array) -> float:
    """The share of resamples on the far side of zero, doubled (Efron and Tibshirani 1993, 15.4); never quite 0."""
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return float("nan")
    tail = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return float(min(2 * (tail + 1) / (len(drawn) + 1), 1.0))


def cohen_d(differences: Array) -> float:
    """Mean over standard deviation of paired differences (Cohen 1988, d_z); 0 when nothing differs at all."""
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return float("nan")
    spread = differences.std(ddof=1)
    if spread == 0:
        return 0.0 if differences.mean() == 0 else float("nan")
    return float(differences.mean() / spread)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for having looked at all of them (Holm 1979); nan stays nan and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if np.isfinite(p))
    adjusted = [float("nan")] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min((len(known) - rank) * p, 1.0))
        adjusted[place] = highest
    return adjusted
