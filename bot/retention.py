"""Keeps the promise that nothing is kept longer than so many days, at the start and while the program runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from bot.history.store import HistoryStore
from dialogue.errors import StorageError
from dialogue.turns import now

log = logging.getLogger("chinwag")
EVERY_S = 86_400.0
"""A day, measured by a clock that cannot jump: what is due is gone a day late at most."""


def purge(store: HistoryStore, days: int) -> None:
    """Remove what is older than ``days`` days; with 0 everything is kept. Raises StorageError."""
    if days:
        removed = store.purge(now() - timedelta(days=days))
        log.info("retention: %s", removed)


@asynccontextmanager
async def kept_short(store: HistoryStore, days: int, every_s: float = EVERY_S) -> AsyncIterator[None]:
    """Purge every ``every_s`` seconds while inside: a server that is never restarted has to forget too."""
    work = asyncio.create_task(_purge_again_and_again(store, days, every_s))
    try:
        yield
    finally:
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work


async def _purge_again_and_again(store: HistoryStore, days: int, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        try:
            await asyncio.to_thread(purge, store, days)
        except StorageError as error:
            log.warning("retention: nothing was removed this time (%s)", error)
