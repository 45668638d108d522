"""Digits written as words, turned into digits with a map back: "five five five", "공일공"."""

from __future__ import annotations

import re

from safety.normalise import View

_ENGLISH = dict(
    zip(
        ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        "00123456789",
        strict=True,
    )
)
_KOREAN = dict(zip("공영일이삼사오육륙칠팔구", "001234566789", strict=True))
_WORD = "(?:zero|oh|one|two|three|four|five|six|seven|eight|nine)"
_RUN = re.compile(
    rf"\b{_WORD}(?:[\s,.\-]{{1,3}}(?:{_WORD}|\d)\b){{2,30}}|(?<![가-힣])[공영일이삼사오육륙칠팔구]{{3,16}}(?![가-힣])"
    r"|(?<![가-힣])[공영일이삼사오육륙칠팔구]{3,15}(?=(?:로|에|으로|이야|이에요|입니다|예요|야)(?![가-힣]))"
)
_PART = re.compile(rf"{_WORD}|\d|[공영일이삼사오육륙칠팔구]")


def spelled_digits(view: View) -> View:
    """The view with spelled-out runs of three and more digits as digits; the same object when there are none."""
    out: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    last = 0
    for run in _RUN.finditer(view.text):
        out.append(view.text[last : run.start()])
        starts.extend(view.starts[last : run.start()])
        ends.extend(view.ends[last : run.start()])
        for part in _PART.finditer(view.text, run.start(), run.end()):
            word = part.group()
            out.append(_ENGLISH.get(word) or _KOREAN.get(word) or word)
            starts.append(view.starts[part.start()])
            ends.append(view.ends[part.end() - 1])
        last = run.end()
    if not last:
        return view
    out.append(view.text[last:])
    return View("digits", "".join(out), [*starts, *view.starts[last:]], [*ends, *view.ends[last:]])
