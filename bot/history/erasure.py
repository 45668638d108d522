"""Removing for good: ``forget``, retention, and the scrubbing of the SQLite file afterwards.

Deleted rows are overwritten (``secure_delete``), but SQLite leaves old copies of rows that it once moved between pages,
and the write-ahead log holds former pages. So the file is rebuilt by VACUUM and the log cut to nothing. PostgreSQL does
the like by autovacuum, in its own time.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Engine, delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from bot.history.connect import file_of, is_sqlite
from bot.history.files import automatic_backups
from bot.history.reading import chunks
from bot.history.store import OWN_SCOPE
from bot.history.tables import CandidateRow, ConversationRow, ExchangeRow, FeedbackRow, PersonRow, SettingRow, TurnRow
from bot.history.upsert import upsert

_log = logging.getLogger(__name__)

_BATCH = 500
_SCRUB_DUE = "scrub_due"

Write = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction that writes."""


def forget(session: Session, person_hash: str, scope: str) -> Counter[str]:
    """Remove a person's every row in this transaction. Their row is locked first: nothing is added meanwhile."""
    person = session.scalar(select(PersonRow.id).where(PersonRow.hash == person_hash).with_for_update())
    settings = session.execute(delete(SettingRow).where(SettingRow.scope == scope).returning(SettingRow.name)).all()
    counts = Counter(turns=0, verdicts=0, candidates=0, ratings=0, conversations=0)
    if person is not None:
        ids = session.scalars(select(ExchangeRow.id).where(ExchangeRow.person_id == person)).all()
        counts.update(_remove(session, ids))
        rated = delete(FeedbackRow).where(FeedbackRow.person_id == person).returning(FeedbackRow.id)
        counts["ratings"] += len(session.execute(rated).all())
        session.execute(delete(PersonRow).where(PersonRow.id == person))
    counts["settings"] = len(settings)
    counts["people"] = int(person is not None)
    return counts


def purge(write: Write, older_than: datetime) -> Counter[str]:
    """Remove exchanges answered before a moment, batch by batch, then people whom nothing points at any more."""
    counts = _in_batches(write, ExchangeRow.answered_at < older_than)
    with write() as session:
        counts["people"] = _remove_idle_people(session)
    return counts


def erase(write: Write, door: str, place_prefix: str) -> Counter[str]:
    """Remove the conversations of a door whose place begins with a prefix."""
    here = (ConversationRow.door == door, func.substr(ConversationRow.place, 1, len(place_prefix)) == place_prefix)
    counts = _in_batches(write, ExchangeRow.conversation_id.in_(select(ConversationRow.id).where(*here)))
    with write() as session:
        empty = session.scalars(select(ConversationRow.id).where(*here)).all()
        counts["conversations"] += _remove_empty_conversations(session, empty)
    return counts


def scrub_due(session: Session) -> None:
    """Note, in the transaction that deletes, that the file has to be scrubbed: a crash cannot make us forget it."""
    row = {"scope": OWN_SCOPE, "name": _SCRUB_DUE, "value": True}
    session.execute(upsert(session, SettingRow, row, ("scope", "name")))


def is_scrub_due(session: Session) -> bool:
    """Whether an earlier scrubbing was put off."""
    return session.get(SettingRow, (OWN_SCOPE, _SCRUB_DUE)) is not None


def scrub(engine: Engine, older_than: datetime | None = None) -> int:
    """Leave no deleted byte in a SQLite file, its log, or automatic backups (made before ``older_than``).

    Returns the number of backups removed. Where another program is in the way the rows are gone all the same, and
    the scrubbing is made up for at the next start or removal.
    """
    if not is_sqlite(engine.url):
        return 0
    try:
        _rebuild(engine)
    except (sqlite3.OperationalError, SQLAlchemyError):
        _log.warning("The database file is in use or the disk is full: deleted rows are overwritten the next time.")
    return _remove_backups(engine, older_than)


def _rebuild(engine: Engine) -> None:
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("VACUUM")
        busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() or (0, 0, 0)
        if busy:
            raise sqlite3.OperationalError("the log is still being read")
        gone = f"DELETE FROM {SettingRow.__tablename__} WHERE scope = ? AND name = ?"
        connection.cursor().execute(gone, (OWN_SCOPE, _SCRUB_DUE))


def _remove_backups(engine: Engine, older_than: datetime | None) -> int:
    removed = 0
    for path in automatic_backups(file_of(engine.url)):
        made_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if older_than is None or made_at < older_than:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _in_batches(write: Write, condition: ColumnElement[bool]) -> Counter[str]:
    counts = Counter(turns=0, verdicts=0, candidates=0, ratings=0, conversations=0)
    while True:
        with write() as session:
            ids = session.scalars(select(ExchangeRow.id).where(condition).order_by(ExchangeRow.id).limit(_BATCH)).all()
            counts.update(_remove(session, ids))
        if len(ids) < _BATCH:
            return counts


def _remove(session: Session, exchange_ids: Sequence[int]) -> Counter[str]:
    """Remove exchanges with all that hangs on them, and the conversations they leave empty."""
    counts: Counter[str] = Counter()
    for ids in chunks(exchange_ids):
        places = session.scalars(select(ExchangeRow.conversation_id).where(ExchangeRow.id.in_(ids)).distinct()).all()
        counts.update(_hanging_on(session, ids))
        session.execute(delete(ExchangeRow).where(ExchangeRow.id.in_(ids)))
        counts["conversations"] += _remove_empty_conversations(session, places)
    return counts


def _hanging_on(session: Session, ids: Sequence[int]) -> Counter[str]:
    turns = select(func.count()).select_from(TurnRow).where(TurnRow.exchange_id.in_(ids))
    candidates = select(func.count()).select_from(CandidateRow).where(CandidateRow.exchange_id.in_(ids))
    rated = select(func.count()).select_from(FeedbackRow).join(TurnRow).where(TurnRow.exchange_id.in_(ids))
    spoken = session.scalar(turns) or 0
    return Counter(
        turns=spoken,
        verdicts=spoken,
        candidates=session.scalar(candidates) or 0,
        ratings=session.scalar(rated) or 0,
    )


def _remove_empty_conversations(session: Session, numbers: Sequence[int]) -> int:
    """Remove those of the conversations that have no exchange.

    Looked at twice: the second look, with the rows locked, sees what an append committed while we waited for them.
    """
    used = select(ExchangeRow.id).where(ExchangeRow.conversation_id == ConversationRow.id).exists()
    removed = 0
    for part in chunks(numbers):
        empty = (ConversationRow.id.in_(part), ~used)
        locked = session.scalars(select(ConversationRow.id).where(*empty).order_by("id").with_for_update()).all()
        gone = delete(ConversationRow).where(ConversationRow.id.in_(locked), ~used).returning(ConversationRow.id)
        removed += len(session.execute(gone).all())
    return removed


def _remove_idle_people(session: Session) -> int:
    """Remove people without exchanges and ratings; looked at twice for the same reason as conversations."""
    used = (
        select(ExchangeRow.id).where(ExchangeRow.person_id == PersonRow.id).exists(),
        select(FeedbackRow.id).where(FeedbackRow.person_id == PersonRow.id).exists(),
    )
    idle = tuple(~condition for condition in used)
    locked = session.scalars(select(PersonRow.id).where(*idle).order_by("id").with_for_update(skip_locked=True)).all()
    removed = 0
    for part in chunks(locked):
        gone = delete(PersonRow).where(PersonRow.id.in_(part), *idle).returning(PersonRow.id)
        removed += len(session.execute(gone).all())
    return removed
