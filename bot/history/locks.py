"""One holder per conversation within this process; postgres_locks.py is its counterpart among processes.

On SQLite and in memory the lock is per process: several programs on one SQLite file lose and double nothing (writes
are transactions, message ids are unique), but only PostgreSQL orders the answers of several engine processes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from dialogue.errors import DeadlineExceeded
from dialogue.turns import ConversationKey

STAGE = "turnstile"


class _Door:
    """A lock that can be left in another thread than it was entered in, and weakly held."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class LocalLocks:
    """Locks within this process.

    Held weakly: a lock lives while somebody holds it or waits for it, because each of them keeps the door in its own
    frame; nobody can get a second door for the same key before the last of them has let go.
    """

    def __init__(self) -> None:
        self._doors: WeakValueDictionary[ConversationKey, _Door] = WeakValueDictionary()
        self._guard = threading.Lock()

    @contextmanager
    def hold(self, key: ConversationKey, timeout_s: float) -> Iterator[None]:
        """Hold the lock of this conversation; DeadlineExceeded after ``timeout_s`` seconds."""
        with self._guard:
            door = self._doors.setdefault(key, _Door())
        if not door.lock.acquire(timeout=max(0.0, timeout_s)):
            raise DeadlineExceeded(STAGE)
        try:
            yield
        finally:
            door.lock.release()
