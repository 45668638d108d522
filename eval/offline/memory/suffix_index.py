"""Does a text stand in the corpus, word for word? A suffix array over its turns (Manber and Myers 1993).

Words are compared in lower case without punctuation, so that a reply with another comma is still found. Suffixes are
sorted by their first DEPTH words, by doubling; that is as far as a match is measured.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dialogue.rerank import words

DEPTH = 64
END = 0
"""Stands between turns: no match runs over the end of one."""


@dataclass(frozen=True, slots=True)
class Match:
    """The longest run of a text's words that the corpus has: its length, where in the text, how often in the corpus."""

    length: int
    start: int
    count: int


class SuffixIndex:
    """An index over texts; about 30 bytes a word of the corpus."""

    def __init__(self, texts: Iterable[str]) -> None:
        """Read every text once; the texts themselves are not kept."""
        self._ids: dict[str, int] = {}
        stream = array("I", [END])
        for text in texts:
            stream.extend(self._ids.setdefault(word, len(self._ids) + 1) for word in words(text))
            stream.append(END)
        self._stream = np.frombuffer(stream, dtype=np.uint32).astype(np.int64) if len(stream) else np.zeros(1, np.int64)
        self._order = _sorted_suffixes(self._stream)

    @property
    def words(self) -> int:
        """Words of the corpus."""
        return int((self._stream != END).sum())

    def count(self, text: str) -> int:
        """How often the whole text occurs, anywhere in a turn; 0 for a text without words."""
        pattern = self._pattern(text)
        return self._count(pattern[:DEPTH]) if pattern else 0

    def turns_equal_to(self, text: str) -> int:
        """How many turns of the corpus are this text and nothing more."""
        pattern = self._pattern(text)
        return self._count([*pattern, END], before=END) if pattern and len(pattern) < DEPTH else 0

    def longest(self, text: str) -> Match:
        """The longest run of words of a text that occurs in the corpus; the first of equals."""
        pattern, best = self._pattern(text, unknown=-1), (0, 0)
        for start in range(len(pattern)):
            if len(pattern) - start <= best[0]:
                break
            length = self._common(pattern[start : start + DEPTH])
            best = max(best, (length, -start))
        length, start = best[0], -best[1]
        return Match(length, start, self._count(pattern[start : start + length]) if length else 0)

    def _pattern(self, text: str, unknown: int | None = None) -> list[int]:
        found = [self._ids.get(word, -1) for word in words(text)]
        return [] if unknown is None and -1 in found else found

    def _suffix(self, rank: int, size: int) -> list[int]:
        start = int(self._order[rank])
        found: list[int] = self._stream[start : start + size].tolist()
        return found

    def _range(self, pattern: Sequence[int]) -> tuple[int, int]:
        size, every = len(pattern), range(len(self._order))
        wanted = list(pattern)
        return (
            bisect_left(every, wanted, key=lambda rank: self._suffix(rank, size)),
            bisect_right(every, wanted, key=lambda rank: self._suffix(rank, size)),
        )

    def _count(self, pattern: Sequence[int], before: int | None = None) -> int:
        low, high = self._range(pattern)
        if before is None:
            return high - low
        return int((self._stream[self._order[low:high] - 1] == before).sum())

    def _common(self, pattern: Sequence[int]) -> int:
        """How many words of the pattern's beginning occur: the neighbours of its place in the order know."""
        wanted = list(pattern)
        place = bisect_left(range(len(self._order)), wanted, key=lambda rank: self._suffix(rank, len(wanted)))
        near = [rank for rank in (place - 1, place) if 0 <= rank < len(self._order)]
        return max((_shared(wanted, self._suffix(rank, len(wanted))) for rank in near), default=0)


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    size = 0
    for a, b in zip(first, second, strict=False):
        if a != b or a == END:
            break
        size += 1
    return size


def _sorted_suffixes(stream: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places in the order of the DEPTH words that begin there; ties in any order."""
    rank = np.unique(stream, return_inverse=True)[1].astype(np.int64)
    width, order = 1, np.argsort(rank, kind="stable")
    while width < DEPTH and len(stream) > 1:
        after = np.zeros_like(rank)
        after[: max(len(rank) - width, 0)] = rank[width:] + 1
        key = rank * (len(stream) + 2) + after
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        rank = np.empty_like(rank)
        rank[order] = np.cumsum(np.concatenate([[0], (ordered[1:] != ordered[:-1]).astype(np.int64)]))
        if rank.max() == len(rank) - 1:
            break
        width *= 2
    return order.astype(np.int64)
