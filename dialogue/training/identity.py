"""Talk of our own about who the bot is: its name from the persona, and that it is a chatbot. Made from a small file.

Corpora of people talking teach a chatbot to claim a name, a body and a family; these teach it to read its persona.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from dialogue.training.corpus import Talk

SOURCE = "identity"
TALKS = 4000


@dataclass(frozen=True, slots=True)
class BotPersona:
    """A chatbot's name, its three likings, and the facts that tell of both."""

    name: str
    likes: tuple[str, str, str]
    facts: tuple[str, ...]


def random_persona(rng: random.Random) -> BotPersona:
    """A chatbot somebody might have set up."""
    name, (like, other, third) = rng.choice(_told()["names"]), rng.sample(_told()["likes"], 3)
    facts = (f"My name is {name}.", rng.choice(_told()["descriptions"]), f"I like {like}, {other} and {third}.")
    return BotPersona(name, (like, other, third), facts)


@cache
def _told() -> Mapping[str, Any]:
    return tomllib.loads(files("dialogue.training").joinpath("identity.toml").read_text(encoding="utf-8"))


def identity_talks(count: int, seed: int = 0) -> Iterator[Talk]:
    """``count`` talks of one to four exchanges; the second speaker, B, is the bot; every fifth has no persona."""
    rng = random.Random(seed)
    for number in range(count):
        yield _talk(rng, number)


def _talk(rng: random.Random, number: int) -> Talk:
    persona = random_persona(rng)
    filled = {"name": persona.name, "like": persona.likes[0], "other": persona.likes[1]}
    told = _told()["exchange"]
    exchanges = told if number % 5 else [_nameless(exchange) for exchange in told]
    turns: list[tuple[str, str]] = []
    for exchange in rng.sample([e for e in exchanges if e["asks"] and e["answers"]], rng.choice((1, 1, 2, 3, 4))):
        turns.append(("A", _filled(exchange["asks"], rng, filled)))
        turns.append(("B", _filled(exchange["answers"], rng, filled)))
    return Talk(SOURCE, f"{SOURCE}-{number}", persona.facts if number % 5 else (), tuple(turns))


def _nameless(exchange: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The exchange as a bot without a persona would have it: nothing that needs a name or a liking."""
    told = [*exchange["answers"], *exchange.get("nameless", ())]
    return {"asks": [ask for ask in exchange["asks"] if "{" not in ask], "answers": [a for a in told if "{" not in a]}


def _filled(choices: Sequence[str], rng: random.Random, filled: Mapping[str, str]) -> str:
    text = rng.choice(choices).format_map(filled)
    return text[:1].upper() + text[1:] if text[-1:] in ".!?" else text
