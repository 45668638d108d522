"""A rule for looking at results while they come in, that stays honest however often one looks.

Ordinary 95% intervals may be read once, at a sample size fixed beforehand; somebody who looks every day and stops when
one excludes zero will sooner or later see a difference that is not there. The interval here is an asymptotic confidence
sequence (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central limit theory", theorem 2.2, the
mixture of Robbins 1970): it covers at all looks together. It is wider; that is the price of looking.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from scipy import stats

from eval.ssa.statistics import compare

FEWEST_CLUSTERS = 10
"""Conversations of each system before the first look: the theorem is asymptotic."""


class Advice(StrEnum):
    """What the rule says now."""

    TOO_EARLY = "too early"
    GO_ON = "go on"
    DIFFERENT = "stop: told apart"
    ALIKE = "stop: alike"


@dataclass(frozen=True, slots=True)
class Look:
    """The difference so far with an interval that is valid at every look together."""

    difference: float
    low: float
    high: float
    advice: Advice


def widening(clusters: int, planned: int, level: float = 0.95) -> float:
    """How many standard errors wide the interval is on each side after ``clusters``, tightest at ``planned``.

    ``clusters``: conversations of both systems together. Eq. 2 of theorem 2.2 with rho from their appendix B.2.
    """
    miss = 1 - level
    rho_square = (-2 * math.log(miss) + math.log(-2 * math.log(miss) + 1)) / planned
    grown = clusters * rho_square
    return math.sqrt(2 * (grown + 1) / grown * math.log(math.sqrt(grown + 1) / miss))


def look(
    first: Sequence[float],
    first_clusters: Sequence[str],
    second: Sequence[float],
    second_clusters: Sequence[str],
    *,
    planned: int,
    margin: float,
    level: float = 0.95,
) -> Look:
    """Whether to stop. Told apart: 0 lies outside. Alike: the whole interval lies within ``margin`` of 0."""
    counted = (len(set(first_clusters)), len(set(second_clusters)))
    if min(counted) < FEWEST_CLUSTERS:
        return Look(math.nan, -1.0, 1.0, Advice.TOO_EARLY)
    now = compare(first, first_clusters, second, second_clusters, level)
    clusters = now.clusters
    small = float(stats.t.ppf((1 + level) / 2, clusters - 2) / stats.norm.ppf((1 + level) / 2))
    half = now.standard_error * widening(clusters, planned, level) * small
    low, high = max(-1.0, now.difference - half), min(1.0, now.difference + half)
    if now.standard_error == 0.0:
        advice = Advice.GO_ON
    elif low > 0 or high < 0:
        advice = Advice.DIFFERENT
    else:
        advice = Advice.ALIKE if -margin <= low and high <= margin else Advice.GO_ON
    return Look(now.difference, low, high, advice)
