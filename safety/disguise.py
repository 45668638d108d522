"""Readings that undo disguises of the base view. Each is a View with a map back; linear in the text."""

from __future__ import annotations

from collections.abc import Iterator

from safety.normalise import View


def readings(base: View) -> Iterator[View]:
    """Every reading that differs from the base view, each text once."""
    yield from ()
