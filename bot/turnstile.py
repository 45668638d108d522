"""One turn at a time per conversation, and a fair share per person.

A lock belongs to a conversation key and lives only as long as somebody holds or awaits it. Looking a lock up and taking
a reference to it happen without an ``await`` in between, on one event loop, so two callers can never get two locks for
one key. ``asyncio.Lock`` is first come, first served: quick messages of one person are answered in order.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from dialogue.errors import DeadlineExceeded, Overloaded
from dialogue.turns import ConversationKey, PersonKey


class Turnstile:
    """Lets one message of a conversation through at a time."""

    def __init__(self, *, max_per_person: int = 5, clock: Callable[[], float] = time.monotonic) -> None:
        """``max_per_person`` messages of one person may wait or be answered at once; more are a flood."""
        self._max_per_person = max_per_person
        self._clock = clock
        self._locks: WeakValueDictionary[ConversationKey, asyncio.Lock] = WeakValueDictionary()
        self._under_way: Counter[PersonKey] = Counter()

    @asynccontextmanager
    async def turn(self, key: ConversationKey, person: PersonKey, deadline: float) -> AsyncIterator[float]:
        """Hold the conversation's turn; yields the seconds it took to get it.

        Raises Overloaded for a flood, DeadlineExceeded("turn") when time runs out.
        """
        if self._under_way[person] >= self._max_per_person:
            raise Overloaded("You are sending messages faster than I can answer; give me a moment.", retry_after_s=2.0)
        self._under_way[person] += 1
        try:
            lock = self._locks.setdefault(key, asyncio.Lock())
            started = self._clock()
            await self._acquire(lock, deadline)
            try:
                yield self._clock() - started
            finally:
                lock.release()
        finally:
            self._under_way[person] -= 1
            if not self._under_way[person]:
                del self._under_way[person]

    async def _acquire(self, lock: asyncio.Lock, deadline: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, deadline - self._clock())):
                await lock.acquire()
        except TimeoutError:
            raise DeadlineExceeded("turn") from None
