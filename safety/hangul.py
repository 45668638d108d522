"""Korean letters: composing syllables from them, and reading Korean that was typed with an English keyboard layout."""

from __future__ import annotations

_LEADS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
_VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_JOINED_VOWELS = {"ㅗㅏ": "ㅘ", "ㅗㅐ": "ㅙ", "ㅗㅣ": "ㅚ", "ㅜㅓ": "ㅝ", "ㅜㅔ": "ㅞ", "ㅜㅣ": "ㅟ", "ㅡㅣ": "ㅢ"}
_JOINED_TAILS = {
    "ㄱㅅ": "ㄳ", "ㄴㅈ": "ㄵ", "ㄴㅎ": "ㄶ", "ㄹㄱ": "ㄺ", "ㄹㅁ": "ㄻ", "ㄹㅂ": "ㄼ", "ㄹㅅ": "ㄽ", "ㄹㅌ": "ㄾ",
    "ㄹㅍ": "ㄿ", "ㄹㅎ": "ㅀ", "ㅂㅅ": "ㅄ",
}  # fmt: skip
_KEYS = dict(
    zip(
        "rsefaqtdwczxvgkoiopjpuphynbmlRTQEWOP",
        "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎㅏㅐㅑㅐㅔㅓㅔㅕㅔㅗㅛㅜㅠㅡㅣㄲㅆㅃㄸㅉㅒㅖ",
        strict=True,
    )
)


def compose(letters: str) -> list[tuple[str, int, int]]:
    """Letters as syllables: (syllable or letter, start, end) for each, covering the whole input in order."""
    out: list[tuple[str, int, int]] = []
    at = 0
    while at < len(letters):
        syllable, end = _syllable(letters, at)
        out.append((syllable, at, end))
        at = end
    return out


def _syllable(letters: str, at: int) -> tuple[str, int]:
    """One syllable from ``at``, or the letter itself where none begins."""
    if letters[at] not in _LEADS or at + 1 >= len(letters) or letters[at + 1] not in _VOWELS:
        return letters[at], at + 1
    lead, vowel, end = letters[at], letters[at + 1], at + 2
    if letters[at + 1 : at + 3] in _JOINED_VOWELS:
        vowel, end = _JOINED_VOWELS[letters[at + 1 : at + 3]], at + 3
    tail, end = _tail(letters, end)
    code = (_LEADS.index(lead) * 21 + _VOWELS.index(vowel)) * 28 + _TAILS.index(tail)
    return chr(0xAC00 + code), end


def _tail(letters: str, at: int) -> tuple[str, int]:
    """The tail from ``at`` that leaves a lead for a following vowel."""

    def vowel_at(place: int) -> bool:
        return place < len(letters) and letters[place] in _VOWELS

    pair = letters[at : at + 2]
    if pair in _JOINED_TAILS and not vowel_at(at + 2):
        return _JOINED_TAILS[pair], at + 2
    one = letters[at : at + 1]
    if one and one in _TAILS and one != " " and not vowel_at(at + 1):
        return one, at + 1
    return " ", at


def decompose(syllables: str) -> str:
    """Syllables as basic letters, joined vowels and tails taken apart; other signs stay."""
    apart = {joined: pair for pair, joined in (_JOINED_VOWELS | _JOINED_TAILS).items()}
    out: list[str] = []
    for sign in syllables:
        code = ord(sign) - 0xAC00
        parts = [sign]
        if 0 <= code < 11172:
            parts = [_LEADS[code // 588], _VOWELS[code // 28 % 21], _TAILS[code % 28].strip()]
        out += [apart.get(part, part) for part in parts]
    return "".join(out)


def from_keys(word: str) -> str:
    """Latin letters as the Korean letters on the same keys (two-set layout); other signs stay."""
    return "".join(_KEYS.get(c, c) for c in word)


def to_keys(text: str) -> str:
    """Korean text as the lower-case Latin letters one types for it."""
    keys = {letter: key.lower() for key, letter in reversed(_KEYS.items())} | {"ㅐ": "o", "ㅔ": "p"}
    return "".join(keys.get(c, c) for c in decompose(text))
