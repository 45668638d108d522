"""Which lines of a training corpus to drop, and why: a fast, strict check without context. Keeps no text.

A model repeats what it was trained on, so this is stricter than the filter of a conversation: any profanity counts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from safety import lexicons, personal

_REASONS = {"offensive": "profanity", "sexual": "sexual", "sexual_minors": "sexual"}


def _lexicon_reason(text: str) -> str | None:
    found = [hit for hit in lexicons.hits(text) if hit.severity >= 2 and hit.source != "emergency"]
    if not found:
        return None
    worst = max(found, key=lambda hit: hit.severity)
    return _REASONS.get(worst.category, worst.category)


def make_filter() -> Callable[[str], str | None]:
    """A function from a line to the reason for dropping it, or None: "profanity", "hate", "sexual", "violence",
    "dangerous", "spam", "personal data".

    It runs on one thread; thousands of lines a second.
    """

    def reason(line: str) -> str | None:
        text = unicodedata.normalize("NFKC", line).lower().replace("’", "'")
        if personal.find(line):
            return "personal data"
        return _lexicon_reason(text)

    return reason
