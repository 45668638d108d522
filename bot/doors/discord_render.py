"""Text as Discord takes it: pieces of at most 2,000 characters that keep code fences whole."""

from __future__ import annotations

import re

LIMIT = 2000
_FENCE = re.compile(r"(```)([\w+#-]*(?=\n))?")  # Discord takes it for a fence wherever in a line it stands
_SENTENCE = re.compile(r"[.!?…。]['\"”’)]*\s")


def split_message(text: str, limit: int = LIMIT) -> list[str]:
    """The text in pieces of at most ``limit`` characters; a fence that is cut is closed and opened again."""
    pieces: list[str] = []
    rest = text.strip()
    while len(rest) > limit:
        piece, rest = _cut(rest, limit)
        pieces.append(piece)
    if rest.strip():
        pieces.append(rest)
    return pieces


def _cut(text: str, limit: int) -> tuple[str, str]:
    """A first piece and the rest, which begins by opening the fence again that the piece had to close."""
    at = _best_place(text, limit)
    fence, language = _open_fence(text[:at])
    if not fence:
        return text[:at].rstrip(), text[at:].lstrip()
    closing = f"\n{fence}"
    at = _best_place(text, limit - len(closing))
    fence, language = _open_fence(text[:at])
    if not fence:
        return text[:at].rstrip(), text[at:].lstrip()
    opening = f"{fence}{language}\n"
    body, rest = text[:at].rstrip("\n"), text[at:].lstrip("\n")
    if len(opening) + len(rest) >= len(text):  # a fence of its own that never gets shorter: give it up
        return text[:limit], text[limit:]
    return f"{body}{closing}", f"{opening}{rest}"


def _best_place(text: str, limit: int) -> int:
    """Where to cut within ``limit``: after a paragraph, a line, a sentence, a word, else anywhere."""
    window = text[:limit]
    least = limit // 3
    for place in (window.rfind("\n\n") + 1, window.rfind("\n") + 1, _last_sentence(window), window.rfind(" ") + 1):
        if place > least:
            return place
    return limit


def _last_sentence(window: str) -> int:
    return max((match.end() for match in _SENTENCE.finditer(window)), default=0)


def _open_fence(text: str) -> tuple[str, str]:
    """The fence that is open at the end of the text and its language; empty where none is."""
    fence, language = "", ""
    for match in _FENCE.finditer(text):
        fence, language = ("", "") if fence else (match.group(1), match.group(2) or "")
    return fence, language


def without_mentions(text: str) -> str:
    """Words that would ping a crowd, made harmless; ``allowed_mentions`` forbids it as well."""
    return re.sub(r"@(?=everyone|here)", "@\u200b", text)
