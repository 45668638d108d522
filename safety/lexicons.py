"""The rule files under ``safety/data``: read once, kept by language. Holds no decision and no score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safety.patterns import Match, RuleSet, read_rules

_DATA = Path(__file__).parent / "data"
ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched: code points ``start`` to ``end`` of the searched text, category and severity (1–3)."""

    start: int
    end: int
    category: str
    severity: int
    line: str


class Lexicon:
    """The rules of one language: what to find, and the allow-rules inside which a finding is none."""

    def __init__(self, text: str, *, korean: bool) -> None:
        self.rules = read_rules(text, korean=korean)
        self._set = RuleSet(self.rules, korean=korean)

    def hits(text: str) -> Iterator[Hit]:
    """The findings of every language whose script the text shows."""
    yield from _by_script(text, lexicon)


def crisis_hits(text: str) -> Iterator[Hit]:
    """The same for the crisis rules."""
    yield from _by_script(text, crisis_lexicon)


def _by_script(text: str, rules: Callable[[str], Lexicon]) -> Iterator[Hit]:
    if any("a" <= c <= "z" for c in text):
        yield from rules("en").hits(text)
    if hangul(text):
        yield from rules("ko").hits(text)
