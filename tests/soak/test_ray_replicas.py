"""``chinwag serve --ray`` with two replicas on a local Ray: one is killed under load, no message loses its answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from bot.history.opening import open_store
from dialogue.turns import ConversationKey
from tests.fakes import until
from tests.ports import lasting_port

pytest.importorskip("ray", reason="no ray: pip install 'chinwag[ray]'")
ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def ray_server(folder: Path, model: Path) -> AsyncIterator[str]:
    """The command in a process of its own; ended with SIGTERM, as an orchestrator does."""
    port = lasting_port()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHINWAG_")}
    settings = {
        "CHINWAG_DATA_FOLDER": str(folder), "CHINWAG_THREADS": "1", "PYTHONPATH": str(ROOT),
        "CHINWAG_HTTP_REQUESTS_PER_MINUTE": "100000",
        # on a starved machine Ray's own patience ends before its processes have started, and it starts them again
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "120", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "120",
    }  # fmt: skip
    log = folder / "ray.log"

    async def start() -> asyncio.subprocess.Process:
        with log.open("wb") as out:
            return await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "chinwag.py"), "serve", "--ray", "--replicas", "2", "--port", str(port),
                "--model", str(model), cwd=folder, env={**inherited, **settings}, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    process = await start()
    url = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(900), httpx.AsyncClient() as client:
            while not await _is_ready(client, url):
                if process.returncode is not None:  # Ray gives itself a minute at most, which a starved machine exceeds
                    said = log.read_text(encoding="utf-8")
                    assert "did not start in time" in said, said
                    process = await start()
                await asyncio.sleep(1)
        yield url
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            await process.wait()


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    with suppress(httpx.HTTPError):
        return (await client.get(f"{url}/health/ready", timeout=3)).status_code == 200
    return False


def replicas_of(folder: Path) -> list[int]:
    """Process ids of the replicas that were started for this folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and b"ray::ServeReplica" in (entry / "cmdline").read_bytes():
                wanted = f"CHINWAG_DATA_FOLDER={folder}".encode()
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


async def test_a_killed_replica_costs_no_answer(
    tmp_path: Path, tiny_checkpoint: Path, note: Callable[[str, str], None]
) -> None:
    answered, repeated = 0, 0

    async def talk(client: httpx.AsyncClient, number: int) -> None:
        nonlocal answered, repeated
        for turn in range(10):
            body = {
                "messages": [{"role": "user", "content": "Hello there"}], "conversation": f"c{number}",
                "message_id": f"m{turn}",
            }  # fmt: skip
            while True:
                with suppress(httpx.TransportError):
                    answer = await client.post("/v1/chat/completions", json=body)
                    if answer.status_code == 200:
                        break
                repeated += 1
                await asyncio.sleep(0.5)
            answered += 1

    async with ray_server(tmp_path, tiny_checkpoint) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
        await until(lambda: len(replicas_of(tmp_path)) == 2, 120)
        talks = [asyncio.create_task(talk(client, number)) for number in range(8)]
        await asyncio.sleep(3)
        os.kill(replicas_of(tmp_path)[0], signal.SIGKILL)
        await asyncio.gather(*talks)
    store = open_store(f"sqlite:///{tmp_path / 'chinwag.sqlite3'}")
    for number in range(8):
        assert len(store.load(ConversationKey("http", f"local/c{number}"), last=1000).turns) == 20
    store.close()
    note("ray", f"{answered} messages answered once each with a replica killed; {repeated} were asked again")
