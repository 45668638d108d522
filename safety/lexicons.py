"""The rule files under ``safety/data``: read once, kept by language. Holds no decision and no score."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from safety.concepts import Found, concepts
from safety.normalise import fold
from safety.patterns import Match, RuleSet, read_rules

_DATA = Path(__file__).parent / "data"
ALLOW = "allow"
_LATIN = re.compile("[a-z]")
_HANGUL = re.compile("[가-힣ㄱ-ㅣ]")
# Greek to Arabic, Indic, Thai, kana, Han: what folding leaves of a text in none of the two scripts above.
_OTHER_SCRIPTS = re.compile("[\u0370-\u07ff\u0900-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_CRISIS = ("crisis", "emergency")


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched: code points ``start`` to ``end`` of the searched text, category and severity (1–3).

    ``lang`` is set for rules of languages that the program does not speak.
    """

    start: int
    end: int
    category: str
    severity: int
    line: str
    source: str
    lang: str = ""


class Lexicon:
    """The rules of one language from one or more files: what to find, and what an allow-rule covers half of is none.

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
        allowed = _Allowed(m for m in matches if m.rule.label == ALLOW)
        return [_hit(m) for m in matches if m.rule.label != ALLOW and not allowed.covers(m)]


class _Allowed:
    """Matches of allow-rules, looked up by place: a match is bounded in length, so only near ones can cover another."""

    def __init__(self, matches: Iterable[Match]) -> None:
        self._matches = sorted(matches, key=lambda m: m.start)
        self._starts = [m.start for m in self._matches]
        self._longest = max((m.end - m.start for m in self._matches), default=0)

    def covers(self, match: Match) -> bool:
        """Whether one allow-rule of the same file covers at least half of a match."""
        first = bisect_left(self._starts, match.start - self._longest)
        last = bisect_right(self._starts, match.end)
        length = match.end - match.start
        return any(
            near.rule.source_name == match.rule.source_name
            and 2 * (min(near.end, match.end) - max(near.start, match.start)) >= length
            for near in self._matches[first:last]
        )


def _hit(match: Match) -> Hit:
    category, severity, *lang = match.rule.label.split()
    name = match.rule.source_name
    return Hit(match.start, match.end, category, int(severity), match.rule.line, name, "".join(lang))


def _combined(found: Found) -> Hit:
    category, severity = found.combination.label.split()
    return Hit(found.start, found.end, category, int(severity), found.combination.line, _CRISIS[1])


@cache
def rules(lang: str, *names: str) -> Lexicon:
    """Rule files by name ("lexicon", "crisis", "impersonation") in one language ("en", "ko").

    Two more hold the plainest crisis words of other languages: "latin", by whole words, and "scripts", which is
    folded as the texts are, because folding takes Cyrillic letters for Latin ones and marks away.
    """
    texts = {name: (_DATA / f"{name}_{lang}.txt").read_text(encoding="utf-8") for name in names}
    if lang == "scripts":
        texts = {name: "\n".join(fold(line).text for line in text.splitlines()) for name, text in texts.items()}
    return Lexicon(texts, korean=lang in ("ko", "scripts"))


def read_with(lang: str) -> Lexicon:
    """The rules that every message is read with, in one language ("en", "ko")."""
    return rules(lang, "lexicon", *_CRISIS)


def hangul(text: str) -> bool:
    """Whether a text has any Hangul syllable or compatibility letter."""
    return _HANGUL.search(text) is not None


def other_scripts(text: str) -> bool:
    """Whether a text, as it was written, has letters that are neither Latin nor Hangul."""
    return _OTHER_SCRIPTS.search(text) is not None


def hits(text: str, *, foreign: bool | None = None) -> list[Hit]:
    """The findings of word lists and crisis rules, in every language whose script the text shows.

    ``foreign`` says whether it had other scripts before it was folded, which can leave Latin letters alone.
    """
    found = named_hits(text, "lexicon", *_CRISIS)
    if _LATIN.search(text):
        found += rules("latin", "crisis").hits(text) + [_combined(f) for f in concepts("en").find(text)]
    if hangul(text):
        found += [_combined(f) for f in concepts("ko").find(text)]
    foreign = other_scripts(text) if foreign is None else foreign
    return found + rules("scripts", "crisis").hits(text) if foreign else found


def named_hits(text: str, *names: str) -> list[Hit]:
    """The findings of some rule files in every language whose script the text shows."""
    found = rules("en", *names).hits(text) if _LATIN.search(text) else []
    return found + rules("ko", *names).hits(text) if hangul(text) else found
