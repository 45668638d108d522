"""The words of the console, from words.toml. Unknown keys are errors, unknown languages are English."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "ko": "한국어"}


@cache
def words(language: str) -> dict[str, str]:
    """All words of a language."""
    with Path(__file__).with_name("words.toml").open("rb") as file:
        found: dict[str, dict[str, str]] = tomllib.load(file)
    return found.get(language, found["en"])


def say(key: str, language: str, **values: object) -> str:
    """One phrase, with its blanks filled in."""
    return words(language)[key].format(**values)
