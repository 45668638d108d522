"""Twenty minutes of mixed load on one process, with faults: it keeps answering, loses no stored turn, leaks no memory.

``SOAK_S`` makes it shorter or longer.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import socket
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bot.history.memory_store import MemoryStore
from bot.history.opening import open_store
from dialogue.errors import StorageError
from dialogue.turns import ConversationKey
from tests.bot.doors.http_helpers import Running, running_api
from tests.fakes import FakeGenerator

SECONDS = float(os.environ.get("SOAK_S", "1200"))
CHAT = "/v1/chat/completions"


def resident_mb() -> float:
    """Memory of this process as the kernel counts it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def body(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


async def test_a_long_mixed_load_leaks_nothing_and_loses_nothing(
    tmp_path: Path, note: Callable[[str, str], None]
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'history.sqlite3'}")
    limits: dict[str, Any] = {"http_requests_per_minute": 10**6, "http_at_once": 1000, "http_read_timeout_s": 1.0}
    stored: dict[str, int] = {}
    generator = FakeGenerator(steps=3, step_s=0.001)
    async with running_api(tmp_path, generator, store=store, **limits) as api, api.http() as client:
        warm = _over_in(SECONDS / 4)  # pools fill and caches settle before the measuring begins
        await asyncio.gather(*(_talker(client, n, stored, warm) for n in range(6)), _leaver(api, warm))
        gc.collect()
        before, files = resident_mb(), open_files()
        over = _over_in(SECONDS)
        workers = [_talker(client, n, stored, over) for n in range(6)]
        await asyncio.gather(*workers, _leaver(api, over), _dripper(api, over), _fuzzer(client, over))
        assert (await client.get("/health/ready")).status_code == 200
        for place, count in stored.items():
            turns = store.load(ConversationKey("http", f"local/{place}"), last=10**6).turns
            assert len(turns) == 2 * count, place
        await asyncio.sleep(1.5)
        gc.collect()
        after, files_after = resident_mb(), open_files()
    store.close()
    kept = f"{sum(stored.values())} kept exchanges"
    note("mixed load", f"{kept}; memory {before:.0f} → {after:.0f} MB; files {files} → {files_after}")
    assert files_after <= files + 10
    assert after < before * 1.25 + 20


def _over_in(seconds: float) -> Callable[[], bool]:
    """Says whether so many seconds have passed."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    return lambda: loop.time() > end


async def _talker(client: httpx.AsyncClient, number: int, stored: dict[str, int], over: Callable[[], bool]) -> None:
    chance = random.Random(number)
    while not over():
        place = f"c{number}-{chance.randrange(20)}"
        done = await client.post(CHAT, json=body("Hello there", conversation=place, stream=chance.random() < 0.3))
        assert done.status_code == 200, done.text
        stored[place] = stored.get(place, 0) + 1


async def _leaver(api: Running, over: Callable[[], bool]) -> None:
    """Clients that go away in the middle."""
    while not over():
        async with api.http() as client:
            asking = asyncio.create_task(client.post(CHAT, json=body("I leave", stream=True)))
            await asyncio.sleep(random.random() * 0.01)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def _dripper(api: Running, over: Callable[[], bool]) -> None:
    """Slow clients that never finish their request."""
    port = int(api.url.rsplit(":", 1)[1])
    while not over():
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        await asyncio.sleep(0.5)
        writer.close()


async def _fuzzer(client: httpx.AsyncClient, over: Callable[[], bool]) -> None:
    chance = random.Random(5)
    while not over():
        assert (await client.post(CHAT, content=_nonsense(chance), headers=_JSON)).status_code < 500
        await asyncio.sleep(0.01)


_JSON = {"Content-Type": "application/json"}


def _nonsense(chance: random.Random) -> bytes:
    """A request that is broken in one of many ways, or happens to be fine."""
    value: Any = chance.choice([None, -1, 1e308, "", "\x00", [], {}, True, "x" * 3000, [[]], "\U0001f600" * 50])
    wanted: dict[str, Any] = body("Hello")
    wanted[
        chance.choice(["messages", "n", "stop", "seed", "model", "stream", "max_tokens", "user", "conversation"])
    ] = value
    raw = json.dumps(wanted).encode()
    kind = chance.randrange(4)
    if kind == 0:
        return raw[: chance.randrange(len(raw))]
    if kind == 1:
        place = chance.randrange(len(raw))
        return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
    return raw if kind == 2 else "".join(chance.choices(string.printable, k=80)).encode()


async def test_ten_thousand_fuzzed_requests_get_an_answer_each(
    tmp_path: Path, note: Callable[[str, str], None]
) -> None:
    chance, counts = random.Random(11), dict[int, int]()
    limits: dict[str, Any] = {"http_requests_per_minute": 10**6, "http_at_once": 1000}
    async with running_api(tmp_path, FakeGenerator(steps=1), **limits) as api, api.http() as client:
        for _ in range(200):
            sent = [client.post(CHAT, content=_nonsense(chance), headers=_JSON) for _ in range(50)]
            for answer in await asyncio.gather(*sent):
                counts[answer.status_code] = counts.get(answer.status_code, 0) + 1
                assert answer.status_code < 500, answer.text
        assert (await client.post(CHAT, json=body("Hello"))).status_code == 200
    note("fuzzed requests", f"answers by status: {dict(sorted(counts.items()))}")
    assert sum(counts.values()) == 10_000


async def test_a_database_that_goes_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    class Shaky(MemoryStore):
        gone = False

        def append(self, *args: Any, **options: Any) -> list[int]:
            if self.gone:
                raise StorageError("gone")
            return super().append(*args, **options)

    store = Shaky()
    async with running_api(tmp_path, store=store) as api, api.http() as client:
        for phase in range(6):
            store.gone = phase % 2 == 1
            answer = await client.post(CHAT, json=body("Hello", conversation="x", message_id=f"m{phase // 2}"))
            assert answer.status_code == 200, answer.text  # the message id is known: the same answer, nothing to store
            fresh = await client.post(CHAT, json=body("Hello", conversation="y", message_id=f"n{phase}"))
            assert fresh.status_code == (503 if store.gone else 200)
            assert store.gone == ("Retry-After" in fresh.headers)
        turns = store.load(ConversationKey("http", "local/y"), last=100).turns
        assert len(turns) == 6


async def test_connections_that_do_nothing_do_not_keep_others_out(tmp_path: Path) -> None:
    async with running_api(tmp_path, http_read_timeout_s=1.0) as api, api.http() as client:
        port = int(api.url.rsplit(":", 1)[1])
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(300)]
        try:
            assert (await client.post(CHAT, json=body("Hello"))).status_code == 200
            await asyncio.sleep(2.5)
            assert sum(_is_closed(each) for each in idle) == 300
        finally:
            for each in idle:
                each.close()


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
