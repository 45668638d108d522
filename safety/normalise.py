"""Readings of a text in which disguises are undone, each with a map back to the original's code points.

``fold`` gives the base view: NFKC, lower case, invisible signs gone, look-alike letters (Unicode TR39) as plain ones.
``views`` adds further readings where the text gives cause: stretched and spaced-out letters, digits and signs for
letters, masked letters, Korean jamo, and Korean typed on an English keyboard. Every step is linear in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TABLE = Path(__file__).parent / "data" / "confusables.tsv"
# Text of these signs only needs nothing but lower case: ASCII without control signs, Hangul, common punctuation.
_PLAIN = re.compile(r"[\t\n\r -~가-힣ㄱ-ㅣㅥ-ㆎ…–—“”]*")
_MARKS = r"\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f"
_CLUSTER = re.compile(
    rf"(?P<plain>[ -~가-힣ㄱ-ㅣㅥ-ㆎ]+(?![{_MARKS}]))|"  # a run that needs nothing but lower case
    r"[\u1100-\u115e][\u1161-\u11a7]?[\u11a8-\u11ff]?"  # conjoining jamo: a syllable block
    rf"|.[{_MARKS}]+"  # stacked marks
    r"|.",
    re.DOTALL,
)
_INVISIBLE = frozenset("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\u2800")
_HALF_WIDTH_JAMO = dict(
    zip(range(0xFFA1, 0xFFBF), "ㄱㄲㄳㄴㄵㄶㄷㄸㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅃㅄㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", strict=True)
) | dict(
    zip(
        [*range(0xFFC2, 0xFFC8), *range(0xFFCA, 0xFFD0), *range(0xFFD2, 0xFFD8), *range(0xFFDA, 0xFFDD)],
        "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ",
        strict=True,
    )
)


@dataclass(frozen=True, slots=True)
class View:
    """One reading of a text. Code point ``i`` of ``text`` stands for ``starts[i]`` to ``ends[i]`` of the original."""

    name: str
    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The original code points under ``text[start:end]``; the range must not be empty."""
        return self.starts[start], self.ends[end - 1]


def fold(text: str) -> View:
    """The base view of any text, lone surrogates and control signs included."""
    if _PLAIN.fullmatch(text):
        return View("base", text.lower(), range(len(text)), range(1, len(text) + 1))
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for match in _CLUSTER.finditer(text):
        if match.lastgroup == "plain":
            out.append(match.group().lower())
            starts.extend(range(*match.span()))
            ends.extend(range(match.start() + 1, match.end() + 1))
            continue
        folded = _fold_sign(match.group()) if match.end() - match.start() == 1 else _fold_cluster(match.group())
        out.append(folded)
        starts.extend([match.start()] * len(folded))
        ends.extend([match.end()] * len(folded))
    return View("base", "".join(out), starts, ends)


@cache  # bounded by the number of code points
def _fold_sign(sign: str) -> str:
    code = ord(sign)
    if sign in "\t\n\r":
        return " "
    if sign in _INVISIBLE or unicodedata.category(sign) in ("Cf", "Mn", "Me", "Cc", "Cs") or 0xFE00 <= code <= 0xFE0F:
        return ""
    if 0x3131 <= code <= 0x318E:  # NFKC would turn Korean letters into conjoining ones
        return sign
    if 0x1100 <= code <= 0x11FF:
        return _loose_jamo().get(sign, "")
    if code in _HALF_WIDTH_JAMO:
        return _HALF_WIDTH_JAMO[code]
    if 0x1F1E6 <= code <= 0x1F1FF:  # regional indicators
        return chr(code - 0x1F1E6 + ord("a"))
    for first in (0x1F130, 0x1F150, 0x1F170):  # squared and circled capitals
        if first <= code < first + 26:
            return chr(code - first + ord("a"))
    plain = unicodedata.normalize("NFKC", sign)
    letters = _confusables()
    plain = "".join(letters.get(c, letters.get(c.lower(), c.lower())) for c in _strip_marks(plain))
    return "".join(c for c in plain if c.isprintable())


@cache
def _loose_jamo() -> dict[str, str]:
    """Conjoining letters that stand alone, as the compatibility letters people type."""
    letters = [chr(code) for code in range(0x3131, 0x3164)]
    return {unicodedata.normalize("NFKC", letter): letter for letter in letters}


def _strip_marks(text: str) -> str:
    """Latin letters without their marks (``é`` → ``e``); Hangul stays composed."""
    if any("가" <= c <= "힣" for c in text):
        return text
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))


def _fold_cluster(cluster: str) -> str:
    if "\u1100" <= cluster[0] <= "\u11ff":
        composed = unicodedata.normalize("NFC", cluster)
        return composed if len(composed) == 1 else "".join(map(_fold_sign, composed))
    return _fold_sign(cluster[0])


@cache
def _confusables() -> dict[str, str]:
    """Look-alike signs and the ASCII letters they pass for; source noted in the table's head."""
    lines = _TABLE.read_text(encoding="utf-8").splitlines()
    table: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith("#"):
            plain, signs = line.split("\t")
            table.update((sign, plain) for sign in signs.split(" "))
    return table


def views(base: View) -> tuple[View, ...]:
    """The base view first, then every other reading that differs from it."""
    from safety.disguise import readings

    return (base, *readings(base))
