"""Contrast rows of our own for training: groups named without harm, counter-speech, quotes, idioms, homonyms, fiction.

They teach the model that a group's name, or a frightening word, is no harm by itself. The measuring templates in
fairness.py and the hand-written lines of the tests are others, kept apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from safety.training.data import Row

_DATA = Path(__file__).parent.parent / "data"


def _sections(lang: str) -> dict[str, list[str]]:
    """The lines of a language's file by section: groups, templates, lines."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (_DATA / f"contrast_{lang}.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("# "):
            found.setdefault(section, []).append(line)
    return found


def contrast_rows() -> Iterator[Row]:
    """All contrast rows, in a fixed order, labelled safe."""
    for lang in ("en", "ko"):
        parts = _sections(lang)
        for template in parts["templates"]:
            for group in parts["groups"]:
                yield Row(template.format(group), (), {"unsafe": 0}, lang, f"contrast_groups_{lang}")
        for line in parts["lines"]:
            yield Row(line, (), {"unsafe": 0}, lang, f"contrast_lines_{lang}")
