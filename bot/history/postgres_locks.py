"""One holder per conversation among all processes that share a PostgreSQL database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from bot.history.faults import storage_faults
from bot.history.locks import STAGE, LocalLocks
from dialogue.errors import DeadlineExceeded
from dialogue.turns import ConversationKey

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.2


class PostgresLocks:
    """Session advisory locks, all of this process on one connection, so that waiting never uses up the pool.

    Waiting is asking again after a short pause: a blocking request would hold up every other conversation on the
    connection. When the connection breaks the server lets go of its locks; then the unique message ids still see to
    it that nothing is answered twice. A pooler in transaction mode cannot carry session locks.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._local = LocalLocks()
        self._guard = threading.Lock()
        self._connection: Connection | None = None

    @contextmanager
    def hold(self, key: ConversationKey, timeout_s: float) -> Iterator[None]:
        """Hold the lock of this conversation among all processes; DeadlineExceeded after ``timeout_s`` seconds."""
        until = time.monotonic() + timeout_s
        with self._local.hold(key, timeout_s):
            held_on = self._wait(_number(key), until)
            try:
                yield
            finally:
                self._release(_number(key), held_on)

    def close(self) -> None:
        """Let go of the connection and with it of every lock."""
        with self._guard:
            self._drop()

    def _wait(self, number: int, until: float) -> Connection:
        pause_s = _FIRST_PAUSE_S
        while (held_on := self._try(number)) is None:
            if time.monotonic() + pause_s > until:
                raise DeadlineExceeded(STAGE)
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        return held_on

    def _try(self, number: int) -> Connection | None:
        """The connection that now holds the lock, or None when another process has it."""
        with storage_faults(self._engine.url), self._guard:
            try:
                return self._ask(number)
            except DBAPIError:
                self._drop()
                return self._ask(number)

    def _ask(self, number: int) -> Connection | None:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        taken = self._connection.scalar(text("SELECT pg_try_advisory_lock(:n)"), {"n": number})
        return self._connection if taken else None

    def _release(self, number: int, held_on: Connection) -> None:
        with self._guard:
            if held_on is not self._connection:
                return
            try:
                held_on.execute(text("SELECT pg_advisory_unlock(:n)"), {"n": number})
            except DBAPIError:
                self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()


def _number(key: ConversationKey) -> int:
    """A signed 64-bit number for the key; two conversations share one with a chance of about n²/2⁶⁵."""
    digest = sha256(f"{key.door}\0{key.place}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
