"""The real API on a real socket around a scripted generator, and clients for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai import AsyncOpenAI

from bot.doors.http_api import guarded, make_app, make_service
from bot.doors.http_api_server import Server, address, listen, server_config
from bot.doors.http_api_service import Service
from bot.history.store import HistoryStore
from bot.settings import Settings
from tests.fakes import FakeGenerator, fake_engine, until


@dataclass(slots=True)
class Running:
    """An API that can be called."""

    url: str
    service: Service
    generator: FakeGenerator
    server: Server

    def openai(self, key: str = "none") -> AsyncOpenAI:
        """OpenAI's own client, without retries, so that refusals are seen."""
        return AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0, timeout=90)

    def http(self, **options: Any) -> httpx.AsyncClient:
        """A plain client."""
        return httpx.AsyncClient(base_url=self.url, timeout=90, **options)


@asynccontextmanager
async def running_api(
    folder: Path,
    generator: FakeGenerator | None = None,
    *,
    store: HistoryStore | None = None,
    max_queue: int = 64,
    max_batch: int = 8,
    **settings: Any,
) -> AsyncIterator[Running]:
    """Serve until the block ends."""
    chosen = Settings(data_folder=folder, port=0, **settings)
    fake = generator or FakeGenerator()
    async with fake_engine(fake, store=store, max_queue=max_queue, max_batch=max_batch) as engine:
        service = make_service(engine, chosen)
        server = Server(server_config(guarded(make_app(service), chosen), chosen))
        listener = listen(chosen.host, chosen.port)
        url = address(listener)
        task = asyncio.create_task(server.serve_on(listener))
        await until(lambda: server.started or task.done())
        try:
            yield Running(url, service, fake, server)
        finally:
            server.should_exit = True
            with suppress(asyncio.CancelledError):
                await task
