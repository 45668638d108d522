"""Quick look for structured personal data."""

from __future__ import annotations

import re

_QUICK = re.compile(
    r"[\w.+-]+@[\w-]+\.[a-z]{2,}"
    r"|(?<![\d.,$-])(?:\+?\d{1,3}[ .-])?\(?\d{3}\)?[ .-]\d{3,4}[ .-]\d{4}(?![\d,.-]\d)"
    r"|(?<!\d)(?:\d[ -]?){13,16}(?!\d)"
    r"|(?<!\d)\d{6}-[1-8]\d{6}(?!\d)|(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)"
    r"|(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])",
    re.IGNORECASE,
)


def has_personal_data(text: str) -> bool:
    """Whether the text shows an e-mail address, a telephone, card, resident or social-security number, or an address of a machine."""
    return _QUICK.search(text) is not None
