"""Structured personal data in a text, as spans of the original. Knows no conversation and takes no decision.

Kinds: phone, email, card, rrn (Korean resident number), ssn, bank, ip, token, plate, passport, addr, name.
A name is reported only beside other personal data: people may say who they are.
"""

from __future__ import annotations

import re
from bisect import bisect
from collections.abc import Iterable

from safety.normalise import fold
from safety.personal import contacts, numbers, places
from safety.personal.spelled import spelled_digits
from safety.verdict import Span

_GATE = re.compile(
    r"\d|@|\bat\b|골뱅이|\[|\((?:at|앳)|[공영일이삼사오육칠팔구]{3}|\b(?:zero|one|two|three|four|five|six|seven|eight|nine)\b"
)
_ORDER = ("token", "email", "ip", "rrn", "bank", "card", "ssn", "passport", "plate", "addr", "phone", "name")


def find(text: str) -> tuple[Span, ...]:
    """Personal data in a text, in order, without overlaps; where two kinds claim the same place the more specific
    wins."""
    base = fold(text)
    if not _GATE.search(base.text):
        return ()
    digits = spelled_digits(base)
    found: list[Span] = []
    for view in (base, digits) if digits is not base else (base,):
        for start, end, kind in (*numbers.find(view.text), *contacts.find(view.text), *places.find(view.text)):
            found.append(Span(*view.span(start, end), kind))
    found += [Span(start, end, "token") for start, end in contacts.tokens(text)]
    chosen = _without_overlaps(found)
    if chosen:
        names = (Span(start, end, "name") for start, end in places.names(text))
        chosen = _without_overlaps([*chosen, *names])
    return chosen


def _without_overlaps(spans: Iterable[Span]) -> tuple[Span, ...]:
    chosen: list[Span] = []
    for span in sorted(spans, key=lambda s: (_ORDER.index(s.kind), s.start - s.end)):
        at = bisect(chosen, span)  # the chosen ones are apart and in order: only the two neighbours can be in the way
        if (at == 0 or chosen[at - 1].end <= span.start) and (at == len(chosen) or span.end <= chosen[at].start):
            chosen.insert(at, span)
    return tuple(chosen)
