"""How varied replies are: distinct n-grams, repetition within a reply, replies said again, copying."""

from __future__ import annotations

from collections.abc import Sequence

from dialogue.rerank import repetition, words
from eval.offline.metrics.overlap import runs_of


def distinct(replies: Sequence[str], n: int) -> float:
    """Different n-grams over all n-grams of all replies, in [0, 1] (Li et al. 2016, section 5.2); nan without any.

    It falls as replies are added: compare only runs of equal size.
    """
    grams = [gram for reply in replies for gram in runs_of(words(reply), n)]
    return len(set(grams)) / len(grams) if grams else float("nan")


def unique(replies: Sequence[str]) -> float:
    """Different replies over all replies of the run, letters only; nan without replies."""
    plain = [" ".join(words(reply)) for reply in replies]
    return len(set(plain)) / len(plain) if plain else float("nan")


def self_repetition(reply: str, n: int = 3) -> float:
    """The share of a reply's word n-grams that it already had, in [0, 1) (Welleck et al. 2020, "seq-rep-n")."""
    return repetition(reply, n)


def copied(reply: str, context: Sequence[str], n: int = 3) -> float:
    """The share of a reply's word n-grams that stand in one of the earlier turns, in [0, 1].

    After the repetition controls of See et al. 2019, section 5.1. A reply shorter than n words counts as one n-gram.
    """
    own = words(reply)
    if not own:
        return 0.0
    n = min(n, len(own))
    seen = {gram for turn in context for gram in runs_of(words(turn), n)}
    grams = runs_of(own, n)
    return sum(gram in seen for gram in grams) / len(grams)
