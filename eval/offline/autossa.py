"""Automatic SSA: from automatic scores of a reply to how sensible and how specific people found it, as two small heads.

Sensible is learnt from mutual information with the context, specific from the surface; a reply's value is their mean.
Weights are ridge regressions (Hoerl and Kennard 1970) shrunk so far that they stay near each score's own correlation:
data sets disagree about anything finer (a long reply is a good one in FED and a bad one in DailyDialog). What it is
worth is what eval/offline/autossa_exam.py reports.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.offline.correlation import Judged

Floats = NDArray[np.float64]
SENSIBLE = ("pmi", "pmi_root", "pmi_whole")
SPECIFIC = ("log_length", "distinct_2_own", "mean_word_length", "near_letters", "f1_with_last_turn", "question_rate",
            "self_repetition", "said_before")  # fmt: skip
LABELS: Mapping[str, Mapping[str, tuple[tuple[str, ...], float, float]]] = {
    "sensible": {
        "dailydialog_ratings": (("Overall",), 1.0, 5.0), "grade": (("Coherence",), 1.0, 5.0),
        "fed_reply": (("Semantically appropriate", "Relevant"), 0.0, 2.0),
    },
    "specific": {
        "fed_reply": (("Specific",), 0.0, 2.0), "hulic_ko": (("specific",), 0.0, 1.0),
        "hulic_ko_human": (("specific",), 0.0, 1.0),
    },
}  # fmt: skip
"""What each head learns from: data set -> labels (their mean) and their scale. The nearest thing that was asked."""
TARGETS = {"fed_reply": ("SSA", 0.0, 1.0), "grade": ("Coherence", 1.0, 5.0),
           "dailydialog_ratings": ("Overall", 1.0, 5.0), "hulic_ko": ("SSA", 0.0, 1.0),
           "hulic_ko_human": ("SSA", 0.0, 1.0)}  # fmt: skip
"""What it is examined against; sets that asked for no more than coherence or quality examine the first head alone."""
ONLY_SENSIBLE = frozenset({"grade", "dailydialog_ratings"})
PENALTY = 3.0
"""Of standardised features, with each data set's mean products: 3 leaves a weight about a quarter of a correlation."""
CLIP = 4.0
HOME = "en"


@dataclass(frozen=True, slots=True)
class Head:
    """A fitted regression: features are standardised by ``center`` and ``scale``; ``spread`` brings values to sd 1."""

    features: tuple[str, ...]
    center: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    spread: float

    def __call__(self, scores: Sequence[Mapping[str, float]]) -> Floats:
        """(N,) values in standard deviations of the training data; 0 where a feature is not known."""
        x = (matrix(scores, self.features) - np.array(self.center)) / np.array(self.scale)
        found = np.clip(x, -CLIP, CLIP) @ np.array(self.weights) / self.spread
        known: Floats = np.where(np.isfinite(found), found, 0.0)
        return known


@dataclass(frozen=True, slots=True)
class AutomaticSSA:
    """Both heads, and the mean and spread of people's SSA where it was asked, which gives the scale."""

    sensible: Head
    specific: Head | None
    mean: float
    spread: float

    def __call__(self, scores: Sequence[Mapping[str, float]], *, only_sensible: bool = False) -> Floats:
        """One value for each reply's scores, about 0 to 1; higher is more sensible and specific."""
        found = self.sensible(scores)
        if self.specific is not None and not only_sensible:
            found = (found + self.specific(scores)) / math.sqrt(2)
        return self.mean + self.spread * found


def matrix(scores: Sequence[Mapping[str, float]], names: Sequence[str]) -> Floats:
    """(N, F); nan where a score is not known."""
    rows = [[row.get(name, math.nan) for name in names] for row in scores]
    return np.array(rows, dtype=float).reshape(len(scores), len(names))


def learnt(judged: Judged, head: str) -> float:
    """What people said that a head learns from, brought to [0, 1]; nan where they were not asked."""
    found = LABELS[head].get(judged.rated.dataset)
    if found is None or not set(found[0]) <= judged.rated.labels.keys():
        return math.nan
    names, low, high = found
    return (sum(judged.rated.labels[name] for name in names) / len(names) - low) / (high - low)


def target(judged: Judged) -> float:
    """What people said that the whole is held against, brought to [0, 1]; nan where they were not asked."""
    label, low, high = TARGETS.get(judged.rated.dataset, ("", 0.0, 1.0))
    return (judged.rated.labels.get(label, math.nan) - low) / (high - low)


def fit(judged: Sequence[Judged]) -> AutomaticSSA | None:
    """Fit on rated replies; every data set counts alike, its own mean and spread taken out, because raters of one set
    are not those of another. None where nothing can be learnt about being sensible.
    """
    sensible, specific = _head(judged, "sensible", SENSIBLE), _head(judged, "specific", SPECIFIC)
    if sensible is None:
        return None
    asked = [each for each in judged if each.rated.dataset not in ONLY_SENSIBLE and math.isfinite(target(each))]
    values = [target(each) for each in _of_home(asked or list(judged))]
    return AutomaticSSA(sensible, specific, float(np.nanmean(values)), float(np.nanstd(values)))


def _of_home(judged: Sequence[Judged]) -> Sequence[Judged]:
    """Those in the language that replies will be judged in, where there are enough: they give the scales."""
    home = [each for each in judged if each.rated.language == HOME]
    return home if len(home) >= 20 else judged


def _head(judged: Sequence[Judged], name: str, features: tuple[str, ...]) -> Head | None:
    x = matrix([each.scores for each in judged], features)
    y = np.array([learnt(each, name) for each in judged])
    known = np.isfinite(x).all(1) & np.isfinite(y)
    if known.sum() < 20:
        return None
    x, y, sets = x[known], y[known], np.array([each.rated.dataset for each in judged])[known]
    products, moments = np.zeros((len(features),) * 2), np.zeros(len(features))
    blocks = np.unique(sets)
    for block in blocks:
        own, said = _standard(x[sets == block]), _standard(y[sets == block])
        products += own.T @ own / len(own) / len(blocks)
        moments += own.T @ said / len(own) / len(blocks)
    weights = np.linalg.solve(products + PENALTY * np.eye(len(features)), moments)
    every = matrix([each.scores for each in _of_home(judged)], features)
    home = every[np.isfinite(every).all(1)]
    center, scale = home.mean(0), _spread(home)
    values = np.clip((home - center) / scale, -CLIP, CLIP) @ weights
    return Head(features, tuple(center.tolist()), tuple(scale.tolist()), tuple(weights.tolist()),
                max(float(values.std()), 1e-9))  # fmt: skip


def _standard(values: Floats) -> Floats:
    found: Floats = np.clip((values - values.mean(0)) / _spread(values), -CLIP, CLIP)
    return found


def _spread(values: Floats) -> Floats:
    found: Floats = np.where(values.std(0) > 1e-9, values.std(0), 1.0)
    return found


def restored(raw: Mapping[str, Any]) -> AutomaticSSA:
    """A regressor from a correlation file."""
    specific = None if raw["specific"] is None else _restored_head(raw["specific"])
    return AutomaticSSA(_restored_head(raw["sensible"]), specific, raw["mean"], raw["spread"])


def _restored_head(raw: Mapping[str, Any]) -> Head:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
    return Head(**values)
