"""Self-chat: two bots talk to each other through the whole engine; loops and contradictions are counted.

Between two models, two personas, or two decoders of one model. A talk begins with a line of a person, as in
ACUTE-Eval's self-chats (Li et al. 2019). Talks are kept in the form that the rating console imports.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bot.batch import Output
from bot.bootstrap import open_responder
from bot.responder import Responder, Stopwatch
from bot.settings import load_settings
from dialogue.decoding.config import DecodingConfig
from dialogue.persona_cards import load_persona
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from eval.offline.answerer import TIMEOUT_S, unhurried
from eval.offline.suite import digest


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two: which model (empty: the default), how it decodes, who it is."""

    model: str = ""
    preset: str = ""
    persona: str = "robin"


@dataclass(frozen=True, slots=True)
class Bot:
    """A side, ready to talk."""

    name: str
    side: Side
    responder: Responder
    config: DecodingConfig
    persona: Persona

    async def answer(self, said: Sequence[str], key: ConversationKey, seed: int) -> str:
        """The bot's next turn of a talk, the last turn of which is the other's."""
        roles = [Role.USER if (len(said) - place) % 2 else Role.BOT for place in range(len(said))]
        turns = tuple(Turn(role, text) for role, text in zip(roles, said, strict=True))
        answer = await self.responder.respond(
            Conversation(key, self.persona, turns), replace(self.config, seed=seed),
            deadline=time.monotonic() + TIMEOUT_S, watch=Stopwatch(),
        )  # fmt: skip
        return answer.text


def chat(
    sides: tuple[Side, Side],
    openers: Sequence[str],
    turns: int,
    out: Path,
    *,
    seed: int = 0,
    threads: int | None = None,
    on_done: Callable[[int], None] = lambda count: None,
    on_line: Callable[[str], None] = lambda line: None,
) -> list[dict[str, Any]]:
    """One talk of ``turns`` turns for each opener, into ``talks.jsonl``; those of a stopped run are kept."""
    out.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_chat(sides, openers, turns, out, seed, threads, on_done, on_line))


async def _chat(
    sides: tuple[Side, Side], openers: Sequence[str], turns: int, out: Path, seed: int, threads: int | None,
    on_done: Callable[[int], None], on_line: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    async with AsyncExitStack() as stack:
        first = await _bot(stack, sides[0], threads, on_line)
        same = sides[0].model == sides[1].model
        second = await _bot(stack, sides[1], threads, on_line, first.responder if same else None)
        names = distinct_names(first, second)
        output = Output(out / "talks.jsonl", _made_by(first, second, openers, turns, seed))
        on_done(output.done)
        with output.open() as file:
            for start in range(output.done, len(openers), 8):
                group = range(start, min(start + 8, len(openers)))
                talks = [_talk((first, second), openers[n], turns, seed + 1000 * n, n) for n in group]
                for n, said in zip(group, await asyncio.gather(*talks), strict=True):
                    file.write(json.dumps(_as_row(n, names, said), ensure_ascii=False) + "\n")
                    file.flush()
                    on_done(1)
    rows = (out / "talks.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(row) for row in rows]


async def _bot(
    stack: AsyncExitStack, side: Side, threads: int | None, on_line: Callable[[str], None],
    responder: Responder | None = None,
) -> Bot:  # fmt: skip
    persona = load_persona(side.persona)
    if responder is None:
        settings = load_settings(model=side.model or None, threads=threads)
        responder = await stack.enter_async_context(open_responder(settings, on_line))
        unhurried(responder)
    config = responder.decoding(side.preset or None, 0)
    return Bot(responder.model.name, side, responder, config, persona)


def distinct_names(first: Bot, second: Bot) -> tuple[str, str]:
    """What the two are called: model, and preset and persona where these tell them apart."""
    one, two = first.name, second.name
    for field in ("preset", "persona"):
        if getattr(first.side, field) != getattr(second.side, field):
            one, two = (
                f"{one} {getattr(first.side, field) or 'default'}",
                f"{two} {getattr(second.side, field) or 'default'}",
            )
    return one, two


def _made_by(first: Bot, second: Bot, openers: Sequence[str], turns: int, seed: int) -> dict[str, Any]:
    sides = [
        {"model": bot.name, "fingerprint": bot.responder.model.fingerprint, "persona": bot.side.persona,
         "preset": bot.side.preset, "decoding": asdict(replace(bot.config, seed=None))}
        for bot in (first, second)
    ]  # fmt: skip
    return {"sides": sides, "openers": digest(list(openers)), "turns": turns, "seed": seed}


async def _talk(bots: tuple[Bot, Bot], opener: str, turns: int, seed: int, number: int) -> list[str]:
    """The opener counts as the first bot's; then the second answers, and so on in turn."""
    said = [opener]
    while len(said) < turns:
        bot = bots[len(said) % 2]
        said.append(await bot.answer(said, ConversationKey("selfchat", str(number)), seed + len(said)))
    return said


def _as_row(number: int, names: tuple[str, str], said: Sequence[str]) -> dict[str, Any]:
    """The console's form of a talk; the second bot's turns are rated, the opener being nobody's."""
    mark = hashlib.blake2b(f"{number}{said[0]}".encode(), digest_size=4).hexdigest()
    speakers = ("A", "B")
    turns = [{"speaker": speakers[place % 2], "text": text} for place, text in enumerate(said)]
    return {"id": f"selfchat-{number}-{mark}", "system": names[1], "bot": "B", "other": names[0], "turns": turns}


def sides_of(talks: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(speaker, system) of both sides."""
    first = talks[0]
    return [("A", str(first["other"])), ("B", str(first["system"]))]
