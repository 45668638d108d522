"""Makes any text a door hands over safe to store, print and tokenise, without changing what a person meant."""

from __future__ import annotations

import unicodedata

from dialogue.errors import UserError

_KEPT_CONTROLS = {"\n", "\t"}
_KEPT_FORMATS = {"\u200d"}  # joins emoji and letters of several scripts
_BIDI = {"\u061c", "\u200e", "\u200f", *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


def tidy(text: str, max_chars: int) -> str:
    """The text without control characters, lone surrogates and direction marks. UserError when empty or too long."""
    if len(text) > max_chars:
        raise UserError(f"Your message has {len(text):,} characters; please keep it under {max_chars:,}.")
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\r\n", "\n")
    clean = "".join(char for char in whole if _keep(char)).strip()
    if not clean:
        raise UserError("There was nothing to read in your message; write a few words.")
    return clean


def _keep(char: str) -> bool:
    if char in _KEPT_CONTROLS or char in _KEPT_FORMATS:
        return True
    return char not in _BIDI and unicodedata.category(char) not in {"Cc", "Cs"}
