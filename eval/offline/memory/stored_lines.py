"""Every line that is stored in the program and could be said or read as ours: scanned like the model's own words.

The lesson of Iruda (2021): real people's data came not out of the network but out of stored lines.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from dialogue.persona_cards import load_persona, persona_names


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A text and where in the program it stands."""

    place: str
    text: str


def stored_lines() -> list[StoredLine]:
    """Facts, styles and examples of every shipped persona, and every canned line of the safety layer and the engine."""
    return [*_personas(), *_canned()]


def _personas() -> Iterator[StoredLine]:
    for name in persona_names():
        card = load_persona(name)
        for fact in card.facts:
            yield StoredLine(f"persona {name}, fact", fact)
        if card.style:
            yield StoredLine(f"persona {name}, style", card.style)
        for example in card.examples:
            yield StoredLine(f"persona {name}, example", example.user)
            yield StoredLine(f"persona {name}, example", example.bot)


def _canned() -> Iterator[StoredLine]:
    from bot import language
    from safety import responses

    for module in (responses, language):
        yield from _texts_of(module)


def _texts_of(module: ModuleType) -> Iterator[StoredLine]:
    """Every text of more than two words in a module's constants, however they are nested."""
    for name, value in sorted(vars(module).items()):
        if name.isupper() or (name.startswith("_") and name[1:].isupper()):
            for text in _strings(value):
                if len(text.split()) > 2:
                    yield StoredLine(f"{module.__name__}.{name}", text)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from _strings(inner)
