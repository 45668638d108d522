"""Talks written for this project (``talks/*.txt``, Apache-2.0): the bot is a chatbot and says something of its own.

A file holds talks parted by an empty line; a line is ``U: …`` or ``B: …``, the person first, the bot last, and
``{name}`` is the bot's name. Each talk is given a persona, as a bot has one when people talk with it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from importlib.resources import files

from dialogue.errors import UserError
from dialogue.training.corpus import Talk
from dialogue.training.identity import random_persona

SOURCE = "own_talks"
PERSONALESS = 6  # one talk in so many has no persona, save those that say the bot's name
_SIDES = ("U: ", "B: ")


def own_talks(seed: int = 0) -> Iterator[Talk]:
    """All of the project's own talks; the second speaker, B, is the bot. The persona follows from the seed."""
    rng = random.Random(seed)
    folder = files("dialogue.training").joinpath("talks")
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".txt"):
            yield from _talks(file.name, file.read_text(encoding="utf-8"), rng)


def parse_talks(name: str, text: str) -> Iterator[list[str]]:
    """The turns of every talk in a file's text. Raises UserError at a line that is out of turn."""
    for number, block in enumerate(re.split(r"\n\s*\n", text.strip()), 1):
        lines = [line.strip() for line in block.splitlines()]
        sides: Iterable[str] = _SIDES * (len(lines) // 2)
        turned = len(lines) % 2 == 0 and all(map(str.startswith, lines, sides))
        if not turned:
            raise UserError(f"Talk {number} of {name} must alternate U: and B: and end with B:, one line each.")
        yield [line[len(_SIDES[0]) :] for line in lines]


def _talks(name: str, text: str, rng: random.Random) -> Iterator[Talk]:
    for number, turns in enumerate(parse_talks(name, text)):
        persona = random_persona(rng)
        named = any("{name}" in turn for turn in turns)
        facts = persona.facts if named or number % PERSONALESS else ()
        said = tuple(("AB"[at % 2], turn.replace("{name}", persona.name)) for at, turn in enumerate(turns))
        yield Talk(SOURCE, f"{SOURCE}-{name.removesuffix('.txt')}-{number}", facts, said)
