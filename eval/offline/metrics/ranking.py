"""Does the model put human answers above tempting wrong ones? After DailyDialog++ (Sai et al. 2020) and ParlAI."""

from __future__ import annotations

from collections.abc import Sequence


def rank(good: float, bad: Sequence[float]) -> float:
    """The place of the human answer among the wrong ones, 1 the best; a tie counts half a place."""
    return 1 + sum(score > good for score in bad) + sum(score == good for score in bad) / 2


def hits(good: Sequence[float], bad: Sequence[float], k: int = 1) -> float:
    """hits@k: the share of human answers, each alone against all wrong ones, within the first k (Zhang et al. 2018)."""
    return sum(rank(score, bad) <= k for score in good) / len(good)


def mrr(good: Sequence[float], bad: Sequence[float]) -> float:
    """Mean of 1 / rank over the human answers, each alone against all wrong ones (Voorhees 1999)."""
    return sum(1 / rank(score, bad) for score in good) / len(good)


def pairwise(good: Sequence[float], bad: Sequence[float]) -> float:
    """The share of (human, wrong) pairs in the right order: the area under the ROC curve of one context."""
    pairs = [(a, b) for a in good for b in bad]
    return sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
