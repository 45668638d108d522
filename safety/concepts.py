"""Danger told by words that stand close together, in whatever order: concepts and combinations of them.

Word rules (patterns.py) know an order; "i swallowed my mom's pills, the whole box" has many. A file names concepts by
their words and says which of them, near each other, mean which danger. One look at each word, linear in the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent / "data"
_WORDS = {False: re.compile(r"[a-z0-9']+"), True: re.compile(r"[가-힣]+")}
_REACH = {False: 90, True: 40}
"""Signs of text, from the first word of a combination to its last."""
_LONGEST = 5  # syllables of a Korean stem


@dataclass(frozen=True, slots=True)
class Combination:
    """Concepts that mean danger together, unless one of ``without`` is near; ``label`` is category and severity."""

    label: str
    needs: frozenset[str]
    without: frozenset[str]
    line: str


@dataclass(frozen=True, slots=True)
class Found:
    """A combination in a text: code points ``start`` to ``end``."""

    start: int
    end: int
    combination: Combination


_Event = tuple[int, int, frozenset[str]]


class Concepts:
    """A file of concepts, ready to look for.

    ``name = words`` gives a concept its words: whole ones, beginnings with ``*``; in Korean whatever a word contains,
    whole ones with ``=`` before. ``[category severity]`` opens a section of lines ``a + b + c - d``.
    """

    def __init__(self, text: str, *, korean: bool) -> None:
        self._korean = korean
        self._words: dict[str, set[str]] = {}
        self.combinations: list[Combination] = []
        label = ""
        for line in filter(None, (line.strip() for line in text.splitlines())):
            if line.startswith("["):
                label = line[1:-1]
            elif " = " in line:
                name, words = line.split(" = ")
                for word in words.split():
                    self._words.setdefault(word, set()).add(name)
            elif not line.startswith("#"):
                self.combinations.append(self._combination(line, label))

    def _combination(self, line: str, label: str) -> Combination:
        needs, *without = line.split(" - ")
        named = frozenset(needs.split(" + ")), frozenset(without)
        known = {name for names in self._words.values() for name in names}
        if unknown := (named[0] | named[1]) - known:
            raise ValueError(f"no such concept in {line!r}: {', '.join(sorted(unknown))}")
        return Combination(label, *named, line)

    def find(self, text: str) -> list[Found]:
        """Each combination at most once, where it first stands, in normalised lower-case text."""
        events = list(self._events(text))
        present = frozenset[str]().union(*(names for _, _, names in events))
        return [
            found
            for combination in self.combinations
            if combination.needs <= present and (found := self._first(combination, events))
        ]

    def _events(self, text: str) -> Iterator[_Event]:
        for match in _WORDS[self._korean].finditer(text):
            if names := self._named(match.group()):
                yield match.start(), match.end(), names

    def _named(self, word: str) -> frozenset[str]:
        if self._korean:
            parts = (word[at : at + size] for at in range(len(word)) for size in range(1, _LONGEST + 1))
            keys: Sequence[str] = [f"={word}", *parts]
        else:
            keys = [word, *(word[:size] + "*" for size in range(3, len(word) + 1))]
        return frozenset(name for key in keys for name in self._words.get(key, ()))

    def _first(self, combination: Combination, events: list[_Event]) -> Found | None:
        reach = _REACH[self._korean]
        excuses = [start for start, _, names in events if names & combination.without]
        last: dict[str, tuple[int, int]] = {}
        for start, end, names in events:
            last |= dict.fromkeys(names & combination.needs, (start, end))
            if len(last) == len(combination.needs):
                first = min(at for at, _ in last.values())
                excused = bisect_left(excuses, first - reach) < bisect_right(excuses, end + reach)
                if end - first <= reach and not excused:
                    return Found(first, end, combination)
        return None


@cache
def concepts(lang: str, name: str = "concepts") -> Concepts:
    """The shipped concepts of a language ("en", "ko"): of danger, or those of another file by its name."""
    return Concepts((_DATA / f"{name}_{lang}.txt").read_text(encoding="utf-8"), korean=lang == "ko")
