"""Two hundred people in twenty channels for two minutes, with the connection cut again and again.

Every message is answered once or refused once, answers keep their channel's order, nothing is twice, nothing lost.
``SOAK_S`` and ``SOAK_PEOPLE`` make it shorter or longer.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("discord", reason="no discord.py: pip install 'chinwag[discord]'")

from tests.fakes import FakeGenerator
from tests.integration.bot_process import World, a_world
from tests.integration.fake_discord import FakeDiscord, fake_discord

SECONDS = float(os.environ.get("SOAK_S", "120"))
PEOPLE = int(os.environ.get("SOAK_PEOPLE", "200"))
ROOMS = range(1000, 1020)
REFUSALS = ("still answering", "One thing at a time", "restarting")


async def test_every_message_is_answered_once_in_order_or_refused(
    tmp_path: Path, note: Callable[[str, str], None]
) -> None:
    chance = random.Random(7)
    async with fake_discord() as discord:
        for number in range(4):
            discord.add_guild((number + 1) << 22, *list(ROOMS)[number * 5 : number * 5 + 5])
        limits = {"max_queue": 64, "max_batch": 16}
        async with (
            a_world(tmp_path, discord, FakeGenerator(steps=4, step_s=0.004), **limits) as world,
            world.bot() as bot,
        ):
            await world.ready()
            asked = await storm(discord, chance)
            everything = [number for room in asked.values() for number in room]
            await discord.until(lambda: len(answers(discord)) >= len(everything), 600)
            await asyncio.sleep(2)
            check(discord, asked)
            note("discord storm", report(discord, world, asked))
            assert await bot.stop() == 0 and "Traceback" not in bot.said and discord.broken_rules == []


async def storm(discord: FakeDiscord, chance: random.Random) -> dict[int, list[int]]:
    """Messages by channel in the order they were written."""
    asked: dict[int, list[int]] = {room: [] for room in ROOMS}
    end = asyncio.get_running_loop().time() + SECONDS

    async def person(number: int) -> None:
        room = ROOMS[number % len(ROOMS)]
        while True:
            await asyncio.sleep(chance.expovariate(1 / 20))
            if asyncio.get_running_loop().time() > end:
                return
            asked[room].append(await discord.says(room, 10_000 + number, f"message {len(asked[room])}"))

    async def trouble() -> None:
        while True:
            await asyncio.sleep(chance.uniform(3, 8))
            kind = chance.randrange(3)
            if kind == 0:
                await discord.hang_up(4000)
            elif kind == 1:
                await discord.ask_to_reconnect()
            else:
                discord.limit_next = 2

    troublemaker = asyncio.create_task(trouble())
    await asyncio.gather(*(person(number) for number in range(PEOPLE)))
    troublemaker.cancel()
    return asked


def answers(discord: FakeDiscord) -> list[int]:
    """The messages that the bot's messages answer, room by room in the order of the answers."""
    return [int(m["message_reference"]["message_id"]) for room in ROOMS for m in discord.posted[room]]


def is_refusal(message: dict[str, object]) -> bool:
    return any(sign in str(message["content"]) for sign in REFUSALS)


def check(discord: FakeDiscord, asked: dict[int, list[int]]) -> None:
    for room in ROOMS:
        replied = [(int(m["message_reference"]["message_id"]), is_refusal(m)) for m in discord.posted[room]]
        assert Counter(number for number, _ in replied) == Counter(asked[room]), f"room {room}"
        answered = [number for number, refused in replied if not refused]
        assert answered == sorted(answered), f"room {room} out of order"


def report(discord: FakeDiscord, world: World, asked: dict[int, list[int]]) -> str:
    total = sum(map(len, asked.values()))
    refused = sum(is_refusal(m) for room in ROOMS for m in discord.posted[room])
    decoded = len(world.api.generator.admitted)
    cut = f"{len(discord.resumes)} resumes, {discord.limited} rate limits"
    return f"{total} messages, {refused} refused, {decoded} decoded, {cut}"
