"""Automatic SSA: a ridge regression from automatic scores of a reply to how sensible and specific people found it.

Trained on half of the rated contexts, tested on the other half and on data sets it never saw, beside the best single
score. What it is worth is what :func:`evaluated` reports; see docs/evaluation.md. Ridge after Hoerl and Kennard 1970.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.offline.bootstrap import interval, resampled, two_sided
from eval.offline.correlation import Judged, spearman

Floats = NDArray[np.float64]
TARGETS = {"fed_reply": ("SSA", 0.0, 1.0), "hulic_ko": ("SSA", 0.0, 1.0), "grade": ("Coherence", 1.0, 5.0),
           "dailydialog_ratings": ("Overall", 1.0, 5.0)}  # fmt: skip
"""Data set -> the label learnt from, and its scale: SSA itself, or the nearest thing that was asked."""
LIKELIHOOD = ("mean_log_prob", "pmi", "log_prob_alone", "token_accuracy")
MEANING = ("near_last_turn", "near_context", "near_own_last")
SURFACE = ("log_length", "question_rate", "self_repetition", "context_copying", "distinct_1_own", "f1_with_last_turn",
           "mean_word_length")  # fmt: skip
FEATURES = (*LIKELIHOOD, *MEANING, *SURFACE)
CURVED = ("mean_log_prob", "log_length", "pmi", "near_context")
"""Scores whose square is a feature too: too much is as bad as too little."""
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)


@dataclass(frozen=True, slots=True)
class AutomaticSSA:
    """A fitted regressor. ``center`` and ``scale`` standardise features; the output is on the scale of ``sets``."""

    features: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    offset: float
    spread: float
    penalty: float

    def __call__(self, scores: Sequence[Mapping[str, float]]) -> Floats:
        """One value for each reply's scores, about 0 to 1; higher is more sensible and specific."""
        x = (_matrix(scores, self.features) - np.array(self.center)) / np.array(self.scale)
        found: Floats = self.offset + self.spread * (x @ np.array(self.weights))
        return found


def usable(judged: Sequence[Judged]) -> list[Judged]:
    """The rated replies with a target and every feature."""
    return [
        each
        for each in judged
        if each.rated.dataset in TARGETS
        and TARGETS[each.rated.dataset][0] in each.rated.labels
        and all(math.isfinite(each.scores.get(name, math.nan)) for name in FEATURES)
    ]


def target(judged: Judged) -> float:
    """What people said, brought to [0, 1]."""
    label, low, high = TARGETS[judged.rated.dataset]
    return (judged.rated.labels[label] - low) / (high - low)


def first_half(judged: Judged) -> bool:
    """Whether an item is trained on: by the hash of its context or talk, so that no context is on both sides."""
    key = f"{judged.rated.dataset}/{judged.rated.group}"
    return hashlib.blake2b(key.encode(), digest_size=1).digest()[0] < 128


def _matrix(scores: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    plain = np.array([[row[name] for name in names] for row in scores], dtype=float).reshape(len(scores), len(names))
    curved = plain[:, [names.index(name) for name in CURVED if name in names]] ** 2
    return np.concatenate([plain, curved], axis=1)


def fit(judged: Sequence[Judged], features: Sequence[str] = FEATURES) -> AutomaticSSA:
    """Fit on rated replies; the penalty is chosen by five folds over contexts. Each data set counts by its items, its
    own mean and spread taken out, because raters of one set are not those of another.
    """
    x, y = _matrix([each.scores for each in judged], tuple(features)), _within_sets(judged)
    center, scale = x.mean(0), np.where(x.std(0) > 1e-9, x.std(0), 1.0)
    x = (x - center) / scale
    folds = np.array([_fold(each.rated.group) for each in judged])
    penalty = max(PENALTIES, key=lambda p: _cross_validated(x, y, folds, p))
    values = np.array([target(each) for each in judged])
    return AutomaticSSA(
        tuple(features), tuple(center.tolist()), tuple(scale.tolist()), tuple(_ridge(x, y, penalty).tolist()),
        float(values.mean()), float(values.std()), penalty,
    )  # fmt: skip


def _within_sets(judged: Sequence[Judged]) -> Floats:
    values: Floats = np.array([target(each) for each in judged])
    sets = np.array([each.rated.dataset for each in judged])
    for name in np.unique(sets):
        own = sets == name
        values[own] = (values[own] - values[own].mean()) / max(float(values[own].std()), 1e-9)
    return values


def _ridge(x: Floats, y: Floats, penalty: float) -> Floats:
    return np.asarray(np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y), dtype=np.float64)


def _fold(group: str) -> int:
    return hashlib.blake2b(f"fold/{group}".encode(), digest_size=1).digest()[0] % 5


def _cross_validated(x: Floats, y: Floats, folds: NDArray[np.int64], penalty: float) -> float:
    predicted = np.zeros(len(y))
    for fold in range(5):
        held = folds == fold
        if held.any() and not held.all():
            predicted[held] = x[held] @ _ridge(x[~held], y[~held], penalty)
    value = spearman(predicted, y)
    return value if math.isfinite(value) else -1.0


def evaluated(judged: Sequence[Judged], *, resamples: int = 1000, seed: int = 0) -> dict[str, Any]:
    """How good the regressor is: on the held-out half of each data set, and on each data set left out of training.

    Rows give Spearman of the regressor, of the best single score chosen on the training side, of the best single
    score chosen with hindsight on the test side, their paired differences, and the mean absolute error.
    """
    known = usable(judged)
    sets = list(dict.fromkeys(each.rated.dataset for each in known))
    train, test = [e for e in known if first_half(e)], [e for e in known if not first_half(e)]
    halves = [_tested(train, [e for e in test if e.rated.dataset == name], name, resamples, seed) for name in sets]
    left_out = [_left_out(known, name, resamples, seed) for name in sets] if len(sets) > 1 else []
    model = fit(train)
    return {
        "features": list(FEATURES), "penalty": model.penalty, "trained_on": len(train), "tested_on": len(test),
        "held_out_half": [row for row in halves if row], "left_out_set": [row for row in left_out if row],
        "pooled": _pooled(train, test, resamples, seed),
    }  # fmt: skip


def _left_out(known: Sequence[Judged], name: str, resamples: int, seed: int) -> dict[str, Any] | None:
    others = [each for each in known if each.rated.dataset != name]
    return _tested(others, [each for each in known if each.rated.dataset == name], name, resamples, seed)


def _tested(
    train: Sequence[Judged], test: Sequence[Judged], name: str, resamples: int, seed: int
) -> dict[str, Any] | None:
    if len(test) < 12 or len(train) < 30:
        return None
    predicted = fit(train)([each.scores for each in test])
    truth = np.array([target(each) for each in test])
    chosen, hindsight = _best_single(train), _best_single(test)
    groups = [each.rated.group for each in test]
    return {"dataset": name, "count": len(test)} | _compared(
        predicted, truth, groups, {"chosen": _single(test, *chosen), "hindsight": _single(test, *hindsight)},
        {"chosen": chosen[0], "hindsight": hindsight[0]}, resamples, seed,
    )  # fmt: skip


def _best_single(judged: Sequence[Judged]) -> tuple[str, float]:
    """The score with the greatest mean rank correlation within the data sets, and its sign."""
    sets = {each.rated.dataset for each in judged}
    means: dict[str, float] = {}
    for name in FEATURES:
        found = []
        for own in ([e for e in judged if e.rated.dataset == s] for s in sets):
            value = spearman(np.array([e.scores[name] for e in own]), np.array([target(e) for e in own]))
            found.append(value if math.isfinite(value) else 0.0)
        means[name] = sum(found) / len(found)
    best = max(means, key=lambda name: abs(means[name]))
    return best, math.copysign(1.0, means[best])


def _single(judged: Sequence[Judged], name: str, sign: float) -> Floats:
    return sign * np.array([each.scores[name] for each in judged])


def _compared(
    predicted: Floats, truth: Floats, groups: Sequence[str], singles: Mapping[str, Floats], names: Mapping[str, str],
    resamples: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    def drawn(first: Floats, minus: Floats | None = None) -> Floats:
        def statistic(rows: NDArray[np.int64]) -> float:
            value = spearman(first[rows], truth[rows])
            return value if minus is None else value - spearman(minus[rows], truth[rows])

        return resampled(groups, statistic, times=resamples, seed=seed)

    low, high = interval(drawn(predicted))
    row: dict[str, Any] = {"spearman": spearman(predicted, truth), "low": low, "high": high}
    error = np.abs(predicted - truth)
    row |= {"mean_absolute_error": float(error.mean()), "error_of_the_mean": float(np.abs(truth.mean() - truth).mean())}
    for kind, values in singles.items():
        differences = drawn(predicted, values)
        ends = interval(differences)
        row[kind] = {
            "metric": names[kind], "spearman": spearman(values, truth), "p": two_sided(differences),
            "difference": row["spearman"] - spearman(values, truth), "low": ends[0], "high": ends[1],
        }  # fmt: skip
    return row


def _pooled(train: Sequence[Judged], test: Sequence[Judged], resamples: int, seed: int) -> dict[str, Any]:
    """All held-out halves together, each data set's own mean and spread taken out."""
    if len(test) < 12 or len(train) < 30:
        return {}
    predicted = fit(train)([each.scores for each in test])
    sets = np.array([each.rated.dataset for each in test])
    for name in np.unique(sets):
        own = sets == name
        predicted[own] = (predicted[own] - predicted[own].mean()) / max(float(predicted[own].std()), 1e-9)
    chosen, hindsight = _best_single(train), _best_single(test)
    groups = [f"{each.rated.dataset}/{each.rated.group}" for each in test]
    return _compared(
        predicted, _within_sets(test), groups,
        {"chosen": _single(test, *chosen), "hindsight": _single(test, *hindsight)},
        {"chosen": chosen[0], "hindsight": hindsight[0]}, resamples, seed,
    ) | {"count": len(test)}  # fmt: skip
