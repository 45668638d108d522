"""Twenty minutes of mixed load on one ``chinwag serve`` with a small real model: it answers, loses and leaks nothing.

Talkers with kept conversations (plain and streamed), stateless callers, clients that leave half way, clients that never
finish their request and clients that send nonsense, all at once. ``SOAK_S`` makes it shorter or longer: below
twenty minutes its memory is told but not judged, because pools and caches are still being filled.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from bot.history.opening import open_store
from dialogue.turns import ConversationKey, Role
from tests.bot.doors.server_process import ServerProcess, serving
from tests.soak.nonsense import CHAT, JSON, body, nonsense

pytestmark = pytest.mark.timeout(0)
FULL_S = 1200.0
SECONDS = float(os.environ.get("SOAK_S", FULL_S))
WORDS = ("Hello there", "How are you?", "I like tea", "It rained all day", "Tell me more!", "What is your name?")


async def test_a_long_mixed_load_leaks_nothing_and_loses_nothing(
    tmp_path: Path, tiny_checkpoint: Path, note: Callable[[str, str], None]
) -> None:
    with serving(tmp_path, tiny_checkpoint) as server:
        load = Load(server, SECONDS)
        memory = await load.run()
        async with server.client() as client:
            assert (await client.get("/health/ready")).status_code == 200
        files = server.open_files()
    load.check_store(tmp_path)
    note("mixed load", f"{load.said()}; memory in MB {memory}; open files {load.files_before} → {files}")
    note("what the clients saw", str(dict(sorted(load.seen.items()))))
    assert not [kind for kind in load.seen if kind.startswith("failed")], load.seen
    assert load.seen["connection lost, asked again"] <= 0.05 * sum(load.seen.values())
    assert files <= load.files_before + 10
    if load.seconds >= FULL_S:
        assert memory[-1] < memory[1] * 1.10, "memory grows"


class Load:
    """Everybody who calls the server, and what came of it."""

    def __init__(self, server: ServerProcess, seconds: float) -> None:
        self.server = server
        self.end = time.monotonic() + seconds
        self.seconds = seconds
        self.seen: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.slowest = 0.0
        self.files_before = 0

    def over(self) -> bool:
        """Whether it is time to stop."""
        return time.monotonic() > self.end

    async def run(self) -> list[int]:
        """Load the server to the end; its memory in MB at the start, at a quarter, a half, three quarters, the end."""
        memory = [round(self.server.resident_mb())]
        workers = [self.talker(number) for number in range(4)]
        work = asyncio.gather(*workers, self.passer_by(), self.leaver(), self.dripper(), self.fuzzer())
        for quarter in range(1, 4):
            await asyncio.sleep(max(0.0, self.end - self.seconds * (1 - quarter / 4) - time.monotonic()))
            memory.append(round(self.server.resident_mb()))
            if quarter == 1:
                self.files_before = self.server.open_files()
        await work
        await asyncio.sleep(2)
        return [*memory, round(self.server.resident_mb())]

    async def asked(self, client: httpx.AsyncClient, wanted: dict[str, object]) -> httpx.Response:
        """The answer; asked again, as OpenAI's clients do, when an idle connection closes in that very moment and when
        this process was too slow to send its own request."""
        while True:
            try:
                answer = await client.post(CHAT, json=wanted)
            except httpx.TransportError:
                self.seen["connection lost, asked again"] += 1
            else:
                if answer.status_code != 408:
                    return answer
                self.seen["408, asked again"] += 1

    def count(self, kind: str, answer: httpx.Response, expected: tuple[int, ...] = (200,)) -> bool:
        """Note one answer; whether it was one that is expected."""
        fine = answer.status_code in expected
        self.seen[f"{kind if fine else f'failed {kind}'} {answer.status_code}"] += 1
        self.slowest = max(self.slowest, answer.elapsed.total_seconds())
        return fine

    async def talker(self, number: int) -> None:
        """One of four people with twenty talks each that the server keeps."""
        chance = random.Random(number)
        async with self.server.client() as client:
            while not self.over():
                place = f"c{number}-{chance.randrange(20)}"
                wanted = body(chance.choice(WORDS), conversation=place, message_id=f"m{self.kept[place]}")
                wanted["stream"] = chance.random() < 0.3
                if self.count("kept", await self.asked(client, wanted)):
                    self.kept[place] += 1
                await asyncio.sleep(chance.expovariate(2))

    async def passer_by(self) -> None:
        """Somebody without a conversation."""
        chance = random.Random(99)
        async with self.server.client() as client:
            while not self.over():
                self.count("stateless", await self.asked(client, body(chance.choice(WORDS), n=2)))
                await asyncio.sleep(chance.expovariate(2))

    async def leaver(self) -> None:
        """Clients that go away in the middle."""
        while not self.over():
            async with self.server.client() as client:
                asking = asyncio.create_task(client.post(CHAT, json=body("I leave", stream=True)))
                await asyncio.sleep(random.random() * 0.05)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                self.seen["left"] += 1
            await asyncio.sleep(0.2)

    async def dripper(self) -> None:
        """Slow clients that never finish their request."""
        while not self.over():
            _, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Le")
            await asyncio.sleep(0.5)
            writer.close()
            self.seen["dripped"] += 1

    async def fuzzer(self) -> None:
        """Requests that are broken in one of many ways."""
        chance = random.Random(5)
        async with self.server.client() as client:
            while not self.over():
                try:
                    answer = await client.post(CHAT, content=nonsense(chance), headers=JSON)
                except httpx.TransportError:
                    self.seen["connection lost, asked again"] += 1
                    continue
                self.count("nonsense", answer, expected=(200, 400, 404, 408, 413, 422))
                await asyncio.sleep(0.1)

    def check_store(self, folder: Path) -> None:
        """Every exchange that was answered is in the history, in order, and no other."""
        store = open_store(f"sqlite:///{folder / 'chinwag.sqlite3'}")
        try:
            for place, count in self.kept.items():
                turns = store.load(ConversationKey("http", f"local/{place}"), last=10**6).turns
                assert [turn.role for turn in turns] == [Role.USER, Role.BOT] * count, place
        finally:
            store.close()

    def said(self) -> str:
        """The figures in one line."""
        replies = self.seen["kept 200"] + self.seen["stateless 200"]
        return (
            f"{replies} replies in {self.seconds:.0f} s, {sum(self.kept.values())} kept and all found again, "
            f"slowest {self.slowest:.1f} s, {sum(n for k, n in self.seen.items() if k.startswith('failed'))} failed"
        )
