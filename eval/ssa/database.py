"""The console's own corner of the database: opened at the history's URL, with tables that nobody else touches."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.orm import Session

from bot.history.connect import file_of, in_memory, is_sqlite, make_private_file, open_engine, parsed, writing
from bot.history.faults import storage_faults
from dialogue.errors import UserError
from eval.ssa.tables import SCHEMA, Base, NoteRow

_SCHEMA_NOTE = "schema"
_KEY_NOTE = "signing key"
_MAKING_LOCK = 0x53_53_41


class RatingDatabase:
    """Sessions that read or write, with driver errors turned into sentences. Safe to use from several threads."""

    def __init__(self, engine: Engine, signing_key: bytes) -> None:
        self._engine = engine
        self.signing_key = signing_key
        # SQLite lets one writer in at a time and makes the others poll; in one process a lock is fair and faster.
        self._writer = threading.Lock() if is_sqlite(engine.url) else None

    @property
    def url(self) -> URL:
        """The address, for messages (never print its password)."""
        return self._engine.url

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session for looking. StorageError when the database is out of reach."""
        with storage_faults(self.url), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction that is committed at the end of the block, or undone when it raises."""
        engine = writing(self._engine)
        with (
            self._turn(),
            storage_faults(self.url),
            Session(engine, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
            return
        with self._writer:
            yield

    def close(self) -> None:
        """Let go of files and connections."""
        self._engine.dispose()


def open_ratings(url: str) -> RatingDatabase:
    """The ratings at a URL; the tables are made where there are none. UserError for a database that is too new."""
    if in_memory(url):
        raise UserError("The console keeps its ratings in a database; set CHINWAG_DATABASE_URL to a file or a server.")
    parts = parsed(url)
    if is_sqlite(parts):
        make_private_file(file_of(parts))
    engine = open_engine(parts)
    try:
        with storage_faults(parts), writing(engine).begin() as connection:
            key = _prepare(connection)
    except BaseException:
        engine.dispose()
        raise
    return RatingDatabase(engine, key)


def _prepare(connection: Connection) -> bytes:
    """Make what is missing, alone: a second program waits and then finds it done. The key that signs links."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _MAKING_LOCK})
    with Session(bind=connection) as session:
        if inspect(connection).has_table(NoteRow.__tablename__):
            known = session.get(NoteRow, _SCHEMA_NOTE)
            if known is None or known.value != SCHEMA:
                raise UserError("The ratings in this database were written by another version of Chinwag; update it.")
        else:
            Base.metadata.create_all(connection)
            session.add_all(
                [NoteRow(name=_SCHEMA_NOTE, value=SCHEMA), NoteRow(name=_KEY_NOTE, value=secrets.token_hex(32))]
            )
            session.flush()
        return bytes.fromhex(session.get_one(NoteRow, _KEY_NOTE).value)
