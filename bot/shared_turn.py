"""One message of a conversation at a time among all processes that share a database: the turnstile's outer half.

Waiting for another process happens in threads of its own, so that it can never use up those that the holder needs
to finish.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager

from bot.history.store import HistoryStore
from dialogue.turns import ConversationKey

WAITERS = 32
"""Conversations that may wait for other processes at once; more wait for a thread."""


class SharedTurn:
    """Holds a conversation against other processes; see HistoryStore.lock."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._threads = ThreadPoolExecutor(WAITERS, thread_name_prefix="chinwag-lock")

    @asynccontextmanager
    async def turn(self, key: ConversationKey, deadline: float) -> AsyncIterator[None]:
        """Hold the conversation; raises DeadlineExceeded("turnstile") and StorageError."""
        entering = self._threads.submit(self._enter, key, deadline)
        try:
            hold = await asyncio.shield(asyncio.wrap_future(entering))
        except asyncio.CancelledError:
            entering.add_done_callback(_leave_after_all)
            raise
        try:
            yield
        finally:
            await asyncio.shield(asyncio.to_thread(hold.__exit__, None, None, None))

    def _enter(self, key: ConversationKey, deadline: float) -> AbstractContextManager[None]:
        """In a thread: what the wait for a thread took is no longer there to be waited."""
        hold = self._store.lock(key, timeout_s=max(0.0, deadline - time.monotonic()))
        hold.__enter__()
        return hold


def _leave_after_all(entered: Future[AbstractContextManager[None]]) -> None:
    """Nobody waits any more, but the lock may just have been taken: give it back."""
    if not entered.cancelled() and entered.exception() is None:
        entered.result().__exit__(None, None, None)
