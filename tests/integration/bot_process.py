"""The bot as a person runs it: ``chinwag discord`` in a process of its own, its engine behind HTTP in the test's."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.history.opening import open_store
from bot.history.store import HistoryStore
from tests.bot.doors.http_helpers import Running, running_api
from tests.fakes import FakeGenerator
from tests.integration.fake_discord import TOKEN, FakeDiscord

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Bot:
    """One running bot."""

    process: asyncio.subprocess.Process
    log: Path

    @property
    def said(self) -> str:
        """What it printed."""
        return self.log.read_text(encoding="utf-8")

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        if self.process.returncode is None:
            self.process.send_signal(how)
        async with asyncio.timeout(120):
            return await self.process.wait()


@dataclass
class World:
    """Discord, an engine, and where both keep things."""

    discord: FakeDiscord
    api: Running
    store: HistoryStore
    folder: Path
    url: str

    @asynccontextmanager
    async def bot(self, **settings: str) -> AsyncIterator[Bot]:
        """Start the bot; it is ended when the block ends."""
        started = await self.start(**settings)
        try:
            yield started
        finally:
            await started.stop()

    async def start(self, **settings: str) -> Bot:
        """Start the bot's process."""
        log = self.folder / f"bot-{len(list(self.folder.glob('bot-*')))}.log"
        wanted = {
            "DATA_FOLDER": str(self.folder), "DATABASE_URL": self.url, "ENGINE_URL": self.api.url,
            "DISCORD_TOKEN": TOKEN, "DISCORD_API_URL": self.discord.url, "DISCORD_GATEWAY_URL": self.discord.gateway,
            "DISCORD_COOLDOWN_S": "0", "LOG_LEVEL": "info", **settings,
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHINWAG_")}
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(ROOT / "chinwag.py"), "discord", cwd=self.folder, start_new_session=True,
                env={**inherited, **{f"CHINWAG_{name}": value for name, value in wanted.items()}},
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip
        return Bot(process, log)

    async def ready(self, shards: int = 1) -> None:
        """Wait until every shard is connected."""
        await self.discord.until(lambda: len(self.discord.connected()) == shards)


@asynccontextmanager
async def a_world(
    folder: Path, discord: FakeDiscord, generator: FakeGenerator | None = None, **limits: int
) -> AsyncIterator[World]:
    """An engine on a database that the bot shares, beside this Discord."""
    url = f"sqlite:///{folder / 'history.sqlite3'}"
    store = open_store(url)
    try:
        async with running_api(folder, generator, store=store, **limits) as api:
            yield World(discord, api, store, folder, url)
    finally:
        store.close()
