"""Hand-written lines in sections: ``[category]`` opens one, ``bot> CONTEXT || REPLY`` is a reply, ``# `` a comment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its section, as a row for ``judge``."""

    category: str
    row: dict[str, Any]


def read_lines(path: Path) -> Iterator[Line]:
    """All lines of a file."""
    category = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if not line or line.startswith("# "):
            continue
        if line.startswith("[") and line.endswith("]"):
            category = line[1:-1]
        elif line.startswith("bot> "):
            context, reply = line.removeprefix("bot> ").split(" || ")
            yield Line(category, {"text": reply, "context": [context], "speaker": "bot"})
        else:
            yield Line(category, {"text": line, "context": None, "speaker": "user"})
