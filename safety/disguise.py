"""Readings that undo disguises of the base view. Each is a View with a map back; linear in the text.

Two chains, each step yielding a reading where it changes something: Latin (stretched → spaced out → signs for letters →
masked letters → Korean on an English keyboard) and Korean (junk between syllables → spaced out → stretched vowels →
loose
letters composed). The readings are for rules and the learned model to look at, not for showing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache

from safety import hangul
from safety.lexicons import read_with
from safety.normalise import View
from safety.patterns import literals

Edit = tuple[int, int, str]
"""Replace ``text[start:end]`` by other text; each of its signs stands for the whole replaced range."""

_STRETCHED = re.compile(r"([a-z가-힣ㄱ-ㅣ])\1{2,}")
_SPACED = re.compile(r"(?<![a-z0-9'])(?:[a-z0-9@$!*](?:[._\-*,/|~+]|\s){1,3}){2,}[a-z0-9@$!*](?![a-z0-9'])")
_WORD = re.compile(r"[^\s]+")
_LEET_WORD = re.compile(r"[a-z][^a-z\s'\-.,/]+[a-z]|[013457@$][a-z$@]|[a-z][013457@$!|]")
_ORDINARY = re.compile(r"\d+(?:[.,:]\d+)?(?:st|nd|rd|th|am|pm|k|m|s|x|d|h|p|kg|km|cm|mm|gb|mb|ft)|[a-z]+\d+")
_LEET = str.maketrans("013457@$!|+€£(¡689", "oieastasiitelcibbg")
_DROPPED = re.compile(r"[^a-z]+")
_MASKED = re.compile(r"(?<![\w*#%])[a-z]{1,6}[*#%_^@-]{1,6}[a-z]{0,8}(?![\w*#%])")
_COMMON = frozenset(
    [
        "i",
        "u",
        "ur",
        "you",
        "your",
        "my",
        "me",
        "a",
        "an",
        "the",
        "to",
        "go",
        "kill",
        "killing",
        "die",
        "dead",
        "self",
        "myself",
        "yourself",
        "off",
        "ass",
        "want",
        "end",
        "it",
        "all",
    ]
)
_EDGES = " .,!?;:\"'()[]{}<>-~…"
_SPLIT_PAIR = re.compile(r"(?<![a-z0-9])([a-z]{1,6})[\s.\-_]([a-z]{1,6})(?![a-z0-9])")
_JUNK = re.compile(r"(?<=[가-힣ㄱ-ㅣ])[^가-힣ㄱ-ㅣ\s]{1,3}(?=[가-힣ㄱ-ㅣ])")
_SINGLES = re.compile(r"(?<![가-힣ㄱ-ㅣ])(?:[가-힣ㄱ-ㅣ][\s.,_\-~]{1,3}){1,12}[가-힣ㄱ-ㅣ](?![가-힣ㄱ-ㅣ])")
_LOOSE = re.compile(
    r"[ㄱ-ㅎ人λ^](?:[ㄱ-ㅎㅏ-ㅣ]|[l1|i!](?=[가-힣ㄱ-ㅎ]))*[ㅏ-ㅣ][ㄱ-ㅎㅏ-ㅣ]*|[ㄱ-ㅎ人λ][l1|i!](?=[가-힣ㄱ-ㅎ])"
)
_LOOSE_SIGNS = str.maketrans("人λl1|i!", "ㅅㅅㅣㅣㅣㅣㅣ")
_VOWEL_AFTER = re.compile(r"[가-힣][아-잏]")


def readings(base: View) -> Iterator[View]:
    """Every reading that differs from the base view, each text once."""
    seen = {base.text}
    for view in _all(base):
        if view.text not in seen:
            seen.add(view.text)
            yield view


def _all(base: View) -> Iterator[View]:
    twice = _edited(base, "stretched", _stretched(base.text, 2))
    once = _edited(base, "stretched", _stretched(base.text, 1))
    yield from (twice, once)
    has_hangul = any("ㄱ" <= c <= "힣" for c in base.text)
    steps = _KOREAN if has_hangul else _LATIN
    for start in (base,) if once is base else (once, twice):
        view = start
        for name, step in steps:
            view = _edited(view, name, step(view.text))
            yield view
    if has_hangul and _LEET_WORD.search(base.text):
        yield _edited(base, "leet", _leet(base.text))


def _edited(view: View, name: str, edits: Iterable[Edit]) -> View:
    """The view with non-overlapping edits, given in order, applied; the same object when there are none."""
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = 0
    for start, end, put in edits:
        out += (view.text[last:start], put)
        starts += view.starts[last:start]
        starts += [view.starts[start]] * len(put)
        ends += view.ends[last:start]
        ends += [view.ends[end - 1]] * len(put)
        last = end
    if not last:
        return view
    out.append(view.text[last:])
    return View(name, "".join(out), [*starts, *view.starts[last:]], [*ends, *view.ends[last:]])


def _stretched(text: str, keep: int) -> Iterator[Edit]:
    for m in _STRETCHED.finditer(text):
        yield m.start(), m.end(), m.group(1) * keep


def _spaced(text: str) -> Iterator[Edit]:
    """ "f u c k" and "f.u.c.k" as one word."""
    for m in _SPACED.finditer(text):
        yield m.start(), m.end(), _parted(re.sub(r"[\s._\-,/|~+*]", "", m.group()))


def _parted(letters: str) -> str:
    """Joined letters as listed and common words, when they are nothing but those; else as they are."""
    vocabulary = _listed_words() | _COMMON
    best: list[str | None] = [""] + [None] * len(letters)
    for end in range(1, min(len(letters), 60) + 1):
        for start in range(max(0, end - 14), end):
            before, word = best[start], letters[start:end]
            if before is not None and word in vocabulary and best[end] is None:
                best[end] = f"{before} {word}".strip()
    return best[-1] or letters


def _split(text: str) -> Iterator[Edit]:
    """Two neighbouring parts that together are a listed word, where one part is no word for want of a vowel."""
    at = 0
    while m := _SPLIT_PAIR.search(text, at):
        first, second = m.groups()
        odd = not (set(first) & set("aeiouy") and set(second) & set("aeiouy"))
        if odd and len(first + second) > 3 and first + second in _listed_words():
            yield m.start(), m.end(), first + second
            at = m.end()
        else:
            at = m.start(2)


def _leet(text: str) -> Iterator[Edit]:
    """Words with digits and signs for letters: "sh1t", "a$$hole", "f.u-c*k"."""
    for m in _WORD.finditer(text):
        word = m.group().strip(_EDGES)
        if len(word) > 40 or not _LEET_WORD.search(word) or _ORDINARY.fullmatch(word):
            continue
        start = m.start() + m.group().index(word)
        plain = _DROPPED.sub("", word.translate(_LEET))
        dropped = _DROPPED.sub("", word)
        ell = _DROPPED.sub("", word.replace("1", "l").replace("|", "l").translate(_LEET))
        known = next((w for w in (plain, dropped, ell) if w in _listed_words()), plain)
        if known and known != word:
            yield start, start + len(word), known


def _masked(text: str) -> Iterator[Edit]:
    """ "f**k": signs that stand for letters, where exactly the listed words of that length can be meant."""
    for m in _MASKED.finditer(text):
        pattern = re.compile("".join("[a-z]" if not c.isalpha() else c for c in m.group()))
        if len(m.group()) >= 4 or m.group().startswith(("f", "s*x")):
            word = next((w for w in _masked_words().get(len(m.group()), ()) if pattern.fullmatch(w)), None)
            if word:
                yield m.start(), m.end(), word


def _keyboard(text: str) -> Iterator[Edit]:
    """Words that make whole Korean syllables when read on a Korean keyboard, if all words of the text do or one is
    listed."""
    if len(text) > 2000:
        return
    words = [(m.start(), m.group().strip(_EDGES), m.group()) for m in _WORD.finditer(text)]
    words = [entry for entry in words if entry[1].isascii() and entry[1].isalpha()]
    whole = bool(words) and bool(_syllables(words[0][1])) and all(_syllables(word) for _, word, _ in words)
    whole = whole and sum(len(_syllables(word)) for _, word, _ in words) >= 3
    for at, word, token in words:
        syllables = _syllables(word) if whole or word[:4] in _listed_keys() else ""
        if syllables:
            start = at + token.index(word)
            yield start, start + len(word), syllables


def _syllables(word: str) -> str:
    """The Korean syllables on the keys of a word, or nothing when loose letters are left over."""
    composed = "".join(s for s, _, _ in hangul.compose(hangul.from_keys(word)))
    return composed if composed and all("가" <= c <= "힣" for c in composed) else ""


def _junk(text: str) -> Iterator[Edit]:
    """ "시1발": a few signs between two syllables dropped; a letter that may be a loose vowel stays."""
    for m in _JUNK.finditer(text):
        loose = text[m.start() - 1] <= "ㅎ" and m.group() in "l1|i!"
        yield m.start() - 1, m.end(), text[m.start() - 1] + (m.group() if loose else "")


def _singles(text: str) -> Iterator[Edit]:
    """ "시 발": single syllables with blanks between."""
    for m in _SINGLES.finditer(text):
        yield m.start(), m.end(), re.sub(r"[\s.,_\-~]", "", m.group())


def _vowels(text: str) -> Iterator[Edit]:
    """ "시이발", "시바알": a syllable that only lengthens the vowel before it."""
    at = 0
    while m := _VOWEL_AFTER.search(text, at):
        first, second = ord(text[m.start()]) - 0xAC00, ord(text[m.start() + 1]) - 0xAC00
        if first % 28 or first // 28 % 21 != second // 28 % 21:
            at = m.start() + 1
            continue
        end = m.end()
        while second % 28 == 0 and text[end : end + 1] == text[end - 1]:  # "씨이이"
            end += 1
        yield m.start(), end, chr(0xAC00 + first + second % 28)
        at = end


def _loose(text: str) -> Iterator[Edit]:
    """ "ㅅㅣㅂㅏㄹ" and "ㅆl발": loose letters composed."""
    for m in _LOOSE.finditer(text):
        letters = m.group().translate(_LOOSE_SIGNS)
        yield m.start(), m.end(), "".join(syllable for syllable, _, _ in hangul.compose(letters))


_LATIN: tuple[tuple[str, Callable[[str], Iterable[Edit]]], ...] = (
    ("spaced", _spaced),
    ("split", _split),
    ("masked", _masked),
    ("leet", _leet),
    ("keyboard", _keyboard),
)
_KOREAN: tuple[tuple[str, Callable[[str], Iterable[Edit]]], ...] = (
    ("loose", _loose),
    ("junk", _junk),
    ("singles", _singles),
    ("loose", _loose),
    ("vowels", _vowels),
)


@cache
def _listed_words() -> frozenset[str]:
    """The single words of the English rules, from severity 2 on."""
    listed = [r for r in read_with("en").rules if r.source_name != "emergency" and r.label[-1] in "23"]
    return frozenset(w for rule in listed for w in literals(rule.items) if len(w) > 2)


@cache
def _masked_words() -> dict[int, list[str]]:
    """Words that people mask, by length, the commonest first."""
    common = (
        "fuck fucks fucking fucker fucked shit shits bitch bitches cunt cunts nigger nigga niggas faggot fag dick cock"
    )
    words = [
        *common.split(),
        "pussy",
        "whore",
        "slut",
        "asshole",
        "bastard",
        "retard",
        "retarded",
        "motherfucker",
        "bullshit",
    ]
    by_length: dict[int, list[str]] = {}
    for word in words:
        by_length.setdefault(len(word), []).append(word)
    return by_length


@cache
def _listed_keys() -> frozenset[str]:
    """The first four keys of the single words of the Korean rules."""
    listed = [r for r in read_with("ko").rules if r.source_name != "emergency" and r.label[-1] in "23"]
    words = (w for rule in listed for w in literals(rule.items))
    return frozenset(hangul.to_keys(w)[:4] for w in words if len(w) > 1 and all("가" <= c <= "힣" for c in w))
