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

    def hits(self, text: str) -> list[Hit]:
        """All findings in normalised lower-case text that no allow-rule covers."""
        matches = list(self._set.matches(text))
        allowed = [m for m in matches if m.rule.label == ALLOW]
        return [_hit(m) for m in matches if m.rule.label != ALLOW and not _covered(m, allowed)]


def _covered(match: Match, allowed: list[Match]) -> bool:
    return any(a.start <= match.start and match.end <= a.end for a in allowed)


def _hit(match: Match) -> Hit:
    category, severity = match.rule.label.split()
    return Hit(match.start, match.end, category, int(severity), match.rule.line)


@cache
def lexicon(lang: str) -> Lexicon:
    """The lexicon of "en" or "ko"."""
    return Lexicon((_DATA / f"lexicon_{lang}.txt").read_text(encoding="utf-8"), korean=lang == "ko")


@cache
def crisis_lexicon(lang: str) -> Lexicon:
    """The crisis rules of "en" or "ko"."""
    return Lexicon((_DATA / f"crisis_{lang}.txt").read_text(encoding="utf-8"), korean=lang == "ko")


def hangul(text: str) -> bool:
    """Whether a text has any Hangul syllable or compatibility letter."""
    return any("가" <= c <= "힣" or "ㄱ" <= c <= "ㅣ" for c in text)


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
