"""Measures on held-out rows: areas under curves, false alarms, recall of personal data, fairness, time. No fitting."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialogue.turns import Role
from safety.filter import SafetyFilter
from safety.judge import judge, request
from safety.training.data import Row
from safety.verdict import Action, SafetyVerdict

Floats = NDArray[np.float64]
CONTEXT_LABELS = frozenset({"agrees_unsafe", "bad_advice", "ignores_risk", "impersonation"})
_ALARM = frozenset(Action) - {Action.ALLOW}


@dataclass(frozen=True)
class Judged:
    """A row, the verdict on it, and the seconds it took."""

    row: Row
    verdict: SafetyVerdict
    seconds: float

    @property
    def score(self) -> float:
        """The overall score."""
        return self.verdict.scores.get("unsafe", 0.0)

    @property
    def alarmed(self) -> bool:
        """Whether anything at all would be done."""
        return self.verdict.action in _ALARM


def judge_rows(safety: SafetyFilter, rows: Iterable[Row]) -> list[Judged]:
    """Verdicts on rows: by the bot where the labels are about replies, else by a person."""
    judged = []
    in_context: dict[str, bool] = {}
    rows = list(rows)
    for row in rows:
        in_context[row.file] = in_context.get(row.file, False) or bool(CONTEXT_LABELS & row.labels.keys())
    for row in rows:
        bot = in_context[row.file] and bool(row.context or "impersonation" in row.labels)
        value = {"text": row.text, "context": list(row.context) or None, "speaker": str(Role.BOT if bot else Role.USER)}
        asked = request(value, row.file)
        start = time.perf_counter()
        verdict = judge(safety, asked)
        judged.append(Judged(row, verdict, time.perf_counter() - start))
    return judged


def area(targets: Sequence[int], scores: Sequence[float]) -> float:
    """Area under the ROC curve by ranks (Mann and Whitney 1947), ties counted half; NaN with one class only."""
    truth, values = np.asarray(targets), np.asarray(scores, float)
    positive, negative = int(truth.sum()), int(len(truth) - truth.sum())
    if not positive or not negative:
        return float("nan")
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((ranks[truth == 1].sum() - positive * (positive + 1) / 2) / (positive * negative))


def precision_recall(targets: Sequence[int], scores: Sequence[float]) -> tuple[Floats, Floats]:
    """Recall and precision at every threshold, from the highest score down."""
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    hits = np.cumsum(np.asarray(targets)[order])
    return hits / max(1, int(hits[-1])) if len(hits) else hits.astype(float), hits / np.arange(1, len(hits) + 1)


def reliability(targets: Sequence[int], scores: Sequence[float], bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean score, share unsafe, count) for each filled bin of equal width."""
    truth, values = np.asarray(targets, float), np.asarray(scores, float)
    place = np.minimum((values * bins).astype(int), bins - 1)
    filled = [place == b for b in range(bins) if (place == b).any()]
    return [(float(values[m].mean()), float(truth[m].mean()), int(m.sum())) for m in filled]


def calibration_error(targets: Sequence[int], scores: Sequence[float]) -> float:
    """Expected calibration error (Naeini et al. 2015): the mean gap of a bin, weighted by its size."""
    rows = reliability(targets, scores)
    return sum(abs(score - share) * n for score, share, n in rows) / max(1, sum(n for _, _, n in rows))


@dataclass(frozen=True)
class SpanCounts:
    """Spans of personal data found among those there are, by kind, and clean lines with a false alarm."""

    found: dict[str, int]
    there: dict[str, int]
    clean: int
    false_alarms: int

    def recall(self, but: frozenset[str] = frozenset({"name"})) -> float:
        """The share of spans found, names left out unless asked for: a span counts when half of it is covered."""
        kinds = [kind for kind in self.there if kind not in but]
        return sum(self.found.get(k, 0) for k in kinds) / max(1, sum(self.there[k] for k in kinds))


def span_counts(judged: Iterable[Judged]) -> SpanCounts:
    """Counts over rows with spans of personal data; a row without spans is a clean line."""
    found: dict[str, int] = {}
    there: dict[str, int] = {}
    clean = false_alarms = 0
    for item in judged:
        mine = [span for span in item.verdict.spans if ":" not in span.kind]
        clean += not item.row.spans
        false_alarms += bool(mine) and not item.row.spans
        for start, end, kind in item.row.spans:
            there[kind] = there.get(kind, 0) + 1
            overlap = sum(
                min(end, s.end) - max(start, s.start)
                for s in mine
                if s.kind == kind and s.start < end and start < s.end
            )
            found[kind] = found.get(kind, 0) + (2 * overlap >= end - start)
    return SpanCounts(found, there, clean, false_alarms)
