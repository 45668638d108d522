"""From a URL to an engine: SQLite set up so that a stored reply survives a power cut, PostgreSQL so that it comes back.

SQLite: WAL, so that readers and the one writer do not wait for each other; ``synchronous=FULL``, so that a commit is on
disk when it returns; writers take their lock when they begin, so that none fails half-way for another's sake.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from enum import Enum, auto
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from dialogue.errors import MissingExtra, StorageError, UserError

BUSY_TIMEOUT_S = 10
"""How long a writer waits for another program to finish its transaction."""

_POOL = {"pool_size": 10, "max_overflow": 20, "pool_timeout": BUSY_TIMEOUT_S}


def parsed(url: str) -> URL:
    """The URL taken apart. UserError unless it names a SQLite file or a PostgreSQL database."""
    try:
        parts = make_url(url.replace("postgres://", "postgresql://", 1))
    except (ArgumentError, ValueError):
        raise UserError(_advice(url)) from None
    if parts.drivername not in ("sqlite", "postgresql", "postgresql+psycopg") or not parts.database:
        raise UserError(_advice(url))
    if parts.drivername != "sqlite" and find_spec("psycopg") is None:
        raise MissingExtra("PostgreSQL needs its driver", "postgres")
    return parts


def in_memory(url: str) -> bool:
    """Whether this URL asks for a history that ends with the process."""
    return url in ("memory:", "sqlite://", "sqlite:///:memory:")


def is_sqlite(url: URL) -> bool:
    """Whether this is a SQLite file."""
    return url.get_backend_name() == "sqlite"


def file_of(url: URL) -> Path:
    """The file of a SQLite database."""
    return Path(url.database or "")


def make_private_file(path: Path) -> None:
    """Create an empty file that only its owner may read, and its folder; leave an existing file as it is.

    An existing file is not even opened: closing it again would drop every lock that SQLite holds on it in this process
    (sqlite.org/howtocorrupt.html, section 2.2), and another program would remove the log that we still write to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            with suppress(FileExistsError):  # another program was quicker
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if path.is_dir() or not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StorageError(f"The history database {path} cannot be opened for writing: {reason}.") from None


class Purpose(Enum):
    """What an engine is opened for: talking, rebuilding tables (then foreign keys are off), or looking only."""

    USE = auto()
    MIGRATE = auto()
    LOOK = auto()


def open_engine(url: URL, purpose: Purpose = Purpose.USE) -> Engine:
    """An engine that never prints what it writes."""
    if not is_sqlite(url):
        return create_engine(
            url, hide_parameters=True, pool_pre_ping=True, connect_args=_postgres_options(url), **_POOL
        )
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}, **_POOL)
    event.listen(engine, "connect", lambda connection, _: _set_up_sqlite(connection, purpose))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write."""
    return engine.execution_options(writes=True)


class SameFile:
    """Notices that a SQLite file was moved, deleted or replaced: SQLite would go on writing where nobody looks."""

    def __init__(self, url: URL) -> None:
        self._path = file_of(url) if is_sqlite(url) else None
        self._first = self._identity()

    def check(self) -> None:
        """Raise StorageError unless the file is still the one that was opened."""
        if self._identity() != self._first:
            raise StorageError(f"The history database {self._path} was moved or deleted while in use; start again.")

    def _identity(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return found.st_dev, found.st_ino


def _set_up_sqlite(connection: sqlite3.Connection, purpose: Purpose) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, see _begin_sqlite
    foreign_keys = "OFF" if purpose is Purpose.MIGRATE else "ON"
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", f"foreign_keys={foreign_keys}"]
    for pragma in ["query_only=ON"] if purpose is Purpose.LOOK else pragmas:
        connection.execute(f"PRAGMA {pragma}").close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgres_options(url: URL) -> dict[str, Any]:
    options = {
        "application_name": "chinwag",
        "connect_timeout": 5,
        "tcp_user_timeout": 15_000,
        "options": f"-c timezone=UTC -c lock_timeout={BUSY_TIMEOUT_S}s",
    }
    return {name: value for name, value in options.items() if name not in url.query}


def _advice(url: str) -> str:
    kind = url.split(":", 1)[0][:20]
    return (
        f"CHINWAG_DATABASE_URL ({kind}:…) is not an address of a history database; write "
        "sqlite:////full/path/chinwag.sqlite3, postgresql://user:password@host/name or memory:."
    )
