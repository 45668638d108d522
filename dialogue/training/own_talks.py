"""Talks written for this project (Apache-2.0): the bot is a chatbot and says something of its own.

``talks`` holds whole talks, ``replies`` beginnings of talks with the next reply. A file holds talks parted by an
empty line; a line is ``U: …`` or ``B: …``, person and bot in turn, the bot last, and ``{name}`` is the bot's name. Each
talk is given a persona, as a bot has one when people talk with it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from importlib.resources import files

from dialogue.errors import UserError
from dialogue.training.corpus import Talk
from dialogue.training.identity import random_persona

SOURCE, REPLIES = "own_talks", "own_replies"
FOLDERS = {SOURCE: "talks", REPLIES: "replies"}
PERSONALESS = 6  # one talk in so many has no persona, save those that the bot begins or that say its name
_SIDES = ("U: ", "B: ")


def own_talks(source: str = SOURCE, seed: int = 0) -> Iterator[Talk]:
    """All talks of one of the project's own sources; B is the bot. The persona follows from the seed."""
    rng = random.Random(seed)
    folder = files("dialogue.training").joinpath(FOLDERS[source])
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".txt"):
            yield from _talks(source, file.name, file.read_text(encoding="utf-8"), rng)


def parse_talks(name: str, text: str) -> Iterator[list[str]]:
    """The turns of every talk in a file's text, the bot's last. Raises UserError at a line that is out of turn."""
    for number, block in enumerate(re.split(r"\n\s*\n", text.strip()), 1):
        lines = [line.strip() for line in block.splitlines()]
        sides = (_SIDES * len(lines))[-len(lines) :]
        if len(lines) < 2 or not all(map(str.startswith, lines, sides)):
            raise UserError(f"Talk {number} of {name} must alternate U: and B: and end with B:, one line each.")
        yield [line[len(_SIDES[0]) :] for line in lines]


def _talks(source: str, name: str, text: str, rng: random.Random) -> Iterator[Talk]:
    for number, turns in enumerate(parse_talks(name, text)):
        persona, begun_by_bot = random_persona(rng), len(turns) % 2
        named = any("{name}" in turn for turn in turns)
        facts = persona.facts if named or begun_by_bot or number % PERSONALESS else ()
        said = tuple(
            ("AB"[(at + begun_by_bot) % 2], turn.replace("{name}", persona.name)) for at, turn in enumerate(turns)
        )
        yield Talk(source, f"{source}-{name.removesuffix('.txt')}-{number}", facts, said)
