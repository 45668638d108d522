"""The rule files under ``safety/data``: read once, kept by language. Holds no decision and no score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safety.patterns import Match, RuleSet, read_rules

_DATA = Path(__file__).parent / "data"
ALLOW = "allow"
_LATIN = re.compile("[a-z]")
_HANGUL = re.compile("[가-힣ㄱ-ㅣ]")


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched: code points ``start`` to ``end`` of the searched text, category and severity (1–3)."""

    start: int
    end: int
    category: str
    severity: int
    line: str
    source: str


class Lexicon:
    """The rules of one language from one or more files: what to find, and the allow-rules inside which it is none.

    An allow-rule excuses only the findings of its own file.
    """

    def __init__(self, texts: Mapping[str, str], *, korean: bool) -> None:
        self.rules = [rule for name, text in texts.items() for rule in read_rules(text, name, korean=korean)]
        self._set = RuleSet(self.rules, korean=korean)

    def hits(self, text: str) -> list[Hit]:
        """All findings in normalised lower-case text that no allow-rule covers."""
        matches = list(self._set.matches(text))
        if not matches:
            return []
        allowed = [m for m in matches if m.rule.label == ALLOW]
        return [_hit(m) for m in matches if m.rule.label != ALLOW and not _covered(m, allowed)]


def _covered(match: Match, allowed: list[Match]) -> bool:
    source = match.rule.source_name
    return any(a.start <= match.start and match.end <= a.end and a.rule.source_name == source for a in allowed)


def _hit(match: Match) -> Hit:
    category, severity = match.rule.label.split()
    return Hit(match.start, match.end, category, int(severity), match.rule.line, match.rule.source_name)


@cache
def rules(lang: str, *names: str) -> Lexicon:
    """Rule files by name ("lexicon", "crisis", "impersonation") in one language ("en", "ko")."""
    texts = {name: (_DATA / f"{name}_{lang}.txt").read_text(encoding="utf-8") for name in names}
    return Lexicon(texts, korean=lang == "ko")


def hangul(text: str) -> bool:
    """Whether a text has any Hangul syllable or compatibility letter."""
    return _HANGUL.search(text) is not None


def hits(text: str) -> list[Hit]:
    """The findings of word lists and crisis rules, in every language whose script the text shows."""
    return named_hits(text, "lexicon", "crisis")


def named_hits(text: str, *names: str) -> list[Hit]:
    """The findings of some rule files in every language whose script the text shows."""
    found = rules("en", *names).hits(text) if _LATIN.search(text) else []
    return found + rules("ko", *names).hits(text) if hangul(text) else found
