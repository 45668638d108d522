"""Persona cards: one TOML file each, shipped in dialogue/personas or written by the user."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from dialogue.errors import UnknownName, UserError
from dialogue.turns import Example, Persona

SHIPPED = Path(__file__).parent / "personas"


def persona_names(folder: Path = SHIPPED) -> list[str]:
    """The names of the cards in a folder, sorted."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_persona(name: str, folder: Path = SHIPPED) -> Persona:
    """A card by its name, or by the path of a ``.toml`` file; a name that does not exist raises UnknownName."""
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        raise UnknownName("persona", name, persona_names(folder))
    return parse_card(path)


def parse_card(path: Path) -> Persona:
    """Read and check one card; UserError names the file and the field that is wrong."""
    try:
        card = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"The persona card {path} cannot be read: {error}. Correct the file.") from error
    unknown = set(card) - {"name", "facts", "style", "language", "examples"}
    if unknown:
        raise UserError(f"The persona card {path} has the unknown field {min(unknown)!r}; remove it.")
    return Persona(
        name=_text(card, "name", path, default=path.stem),
        facts=tuple(_texts(card, "facts", path)),
        style=_text(card, "style", path, default=""),
        examples=tuple(_example(entry, path) for entry in _list(card, "examples", path)),
        language=_text(card, "language", path, default="en"),
    )


def _text(card: dict[str, Any], field: str, path: Path, *, default: str) -> str:
    value = card.get(field, default)
    if not isinstance(value, str):
        raise UserError(f"The persona card {path} needs text in the field {field!r}.")
    return value


def _list(card: dict[str, Any], field: str, path: Path) -> list[Any]:
    value = card.get(field, [])
    if not isinstance(value, list):
        raise UserError(f"The persona card {path} needs a list in the field {field!r}.")
    return value


def _texts(card: dict[str, Any], field: str, path: Path) -> list[str]:
    values = _list(card, field, path)
    if not all(isinstance(value, str) for value in values):
        raise UserError(f"The persona card {path} needs a list of texts in the field {field!r}.")
    return values


def _example(entry: object, path: Path) -> Example:
    match entry:
        case {"user": str(user), "bot": str(bot)}:
            return Example(user, bot)
    raise UserError(f"The persona card {path} needs examples of the form {{ user = “…”, bot = “…” }}.")
