"""Do the metrics mean anything? Rank and linear correlation of every score with every human label, with intervals.

Spearman, Pearson and Kendall (tau-b) as scipy computes them; intervals by the bootstrap over contexts or talks;
p-values of Spearman adjusted for all the tests on main labels together, and for all the others (Holm 1979).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.offline.bootstrap import by_group, holm, interval, weights
from eval.offline.ratings import Rated

Floats = NDArray[np.float64]
FEWEST = 12


@dataclass(frozen=True, slots=True)
class Judged:
    """A rated reply or talk with its automatic scores."""

    rated: Rated
    scores: Mapping[str, float]


def spearman(first: Floats, second: Floats) -> float:
    """Spearman's rho: Pearson's r of the ranks (ties share their mean rank); nan when one side is constant."""
    from scipy.stats import rankdata

    return pearson(rankdata(first), rankdata(second))


def pearson(first: Floats, second: Floats) -> float:
    """Pearson's r; nan when one side is constant."""
    if len(first) < 2:
        return math.nan
    x, y = first - first.mean(), second - second.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / size if size > 1e-12 else math.nan


def rank_draws(first: Floats, second: Floats, groups: Sequence[str], *, times: int, seed: int) -> Floats:
    """Spearman's rho in each bootstrap resample of whole groups; ranks are taken once, over all rows.

    With fixed ranks a resample is a weighting of sums, so that thousands of rows cost no more than their groups.
    """
    from scipy.stats import rankdata

    x, y = (rankdata(values) - (len(first) + 1) / 2 for values in (first, second))
    summed = by_group(np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1), groups)
    n, sx, sy, sxx, syy, sxy = (weights(len(summed), times, seed) @ summed).T
    size = np.sqrt(np.maximum((n * sxx - sx * sx) * (n * syy - sy * sy), 0.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(size > 1e-9, (n * sxy - sx * sy) / size, np.nan)
    return found


def correlations(judged: Sequence[Judged], *, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """A row for every (data set, label, score) that FEWEST or more items carry, strongest first within a label."""
    rows: list[dict[str, Any]] = []
    for dataset in dict.fromkeys(each.rated.dataset for each in judged):
        members = [each for each in judged if each.rated.dataset == dataset]
        for label in dict.fromkeys(name for each in members for name in each.rated.labels):
            rows += _label_rows(members, dataset, label, resamples, seed)
    for family in (True, False):
        own = [row for row in rows if row["main_label"] is family]
        for row, p in zip(own, holm([row["p"] for row in own]), strict=True):
            row["p_holm"] = p
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _label_rows(own: Sequence[Judged], dataset: str, label: str, resamples: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    for score in dict.fromkeys(name for each in own for name in each.scores):
        pairs = [
            (each.scores[score], each.rated.labels[label], each.rated.group)
            for each in own
            if label in each.rated.labels and math.isfinite(each.scores.get(score, math.nan))
        ]
        if len(pairs) >= FEWEST:
            row: dict[str, Any] = {"dataset": dataset, "level": own[0].rated.level, "label": label, "metric": score}
            row["main_label"] = label == own[0].rated.main
            rows.append(row | _coefficients(pairs, resamples if row["main_label"] else resamples // 4, seed))
    return sorted(rows, key=lambda row: -abs(row["spearman"]) if row["spearman"] == row["spearman"] else 1.0)


def _coefficients(pairs: Sequence[tuple[float, float, str]], resamples: int, seed: int) -> dict[str, Any]:
    from scipy import stats

    x, y = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])
    groups = [pair[2] for pair in pairs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", stats.ConstantInputWarning)
        rank, tau = stats.spearmanr(x, y), stats.kendalltau(x, y)
    low, high = interval(rank_draws(x, y, groups, times=resamples, seed=seed))
    return {
        "spearman": float(rank.statistic), "low": low, "high": high, "pearson": pearson(x, y),
        "kendall": float(tau.statistic), "p": float(rank.pvalue), "count": len(pairs), "groups": len(set(groups)),
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
