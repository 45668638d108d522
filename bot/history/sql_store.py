"""The bot's memory in SQLite or PostgreSQL: one synchronous store for async doors, Streamlit and scripts.

Knows tables and transactions, nothing of engines or doors. Every write is one transaction that is on disk when the
method returns. Within a conversation ids follow the order of commits, because a writer first locks its row.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.orm import Session

from bot.exchange import Exchange, Export, Feedback, Forgotten, Reply
from bot.history import erasure, reading
from bot.history.connect import SameFile, writing
from bot.history.export import exported
from bot.history.faults import storage_faults
from bot.history.keeping import check_settings, identifier, kept, storable
from bot.history.locks import LocalLocks
from bot.history.people import Pseudonyms
from bot.history.postgres_locks import PostgresLocks
from bot.history.rows import candidate_values, turn_values, verdict_values
from bot.history.store import AlreadyAnswered, Given, Record, Scope, Stored
from bot.history.tables import (
    CandidateRow,
    ConversationRow,
    DeliveryRow,
    ExchangeRow,
    FeedbackRow,
    PersonRow,
    SettingRow,
    TurnRow,
    VerdictRow,
)
from bot.history.upsert import upsert
from dialogue.errors import UserError
from dialogue.turns import ConversationKey, PersonKey, Turn
from safety.verdict import SafetyVerdict


class SqlStore:
    """A HistoryStore behind SQLAlchemy. The schema must be up to date: use ``bot.history.opening.open_store``."""

    def __init__(self, engine: Engine, pseudonyms: Pseudonyms) -> None:
        self._engine, self._writer = engine, writing(engine)
        self._pseudonyms, self._file = pseudonyms, SameFile(engine.url)
        self._shared_locks = PostgresLocks(engine) if engine.dialect.name == "postgresql" else None
        self._locks = self._shared_locks or LocalLocks()

    def load(self, key: ConversationKey, *, last: int) -> Stored:
        """See HistoryStore."""
        with self._read() as session:
            place = reading.conversation(session, key)
            return Stored() if place is None else Stored(reading.newest_turns(session, place, last), place.persona)

    def set_persona(self, key: ConversationKey, name: str | None) -> None:
        """See HistoryStore."""
        with self._write() as session:
            number, _ = self._conversation(session, key)
            chosen = None if name is None else storable(name)
            session.execute(update(ConversationRow).where(ConversationRow.id == number).values(persona=chosen))

    def reset(self, key: ConversationKey) -> None:
        """See HistoryStore."""
        with self._write() as session:
            number, episode = self._conversation(session, key)
            session.execute(update(ConversationRow).where(ConversationRow.id == number).values(episode=episode + 1))

    def answered(self, key: ConversationKey, message_id: str) -> Reply | None:
        """See HistoryStore."""
        with self._read() as session:
            record = reading.answered(session, key, identifier(message_id))
            return record.reply if record else None

    def append(self, key: ConversationKey, exchange: Exchange) -> list[int]:
        """See HistoryStore."""
        exchange = kept(exchange)
        with self._write() as session:
            person = self._person(session, exchange.person)
            conversation, episode = self._conversation(session, key)
            number = self._exchange(session, (conversation, episode, person), exchange)
            if number is None:
                first = reading.answered(session, key, exchange.message_id or "")
                assert first is not None, "the conversation's row is locked: whoever was first has committed"
                raise AlreadyAnswered(first.reply)
            heard = self._turn(session, number, exchange.heard, exchange.verdict_in)
            said = self._turn(session, number, exchange.said, exchange.verdict_out)
            if exchange.candidates:
                session.execute(insert(CandidateRow), candidate_values(number, exchange))
            return [heard, said]

    def why(self, key: ConversationKey) -> Record | None:
        """See HistoryStore."""
        with self._read() as session:
            return reading.last_record(session, key)

    def record(self, turn_id: int) -> Record | None:
        """See HistoryStore."""
        with self._read() as session:
            return reading.record_with(session, turn_id)

    def transcript(self, turn_id: int) -> tuple[Turn, ...]:
        """See HistoryStore."""
        with self._read() as session:
            return reading.turns_up_to(session, turn_id)

    def sent(self, key: ConversationKey, turn_id: int, message_ids: tuple[str, ...]) -> None:
        """See HistoryStore."""
        with self._write() as session:
            self._must_exist(session, turn_id)
            number, _ = self._conversation(session, key)
            for message_id in message_ids:
                row = {"conversation_id": number, "message_id": identifier(message_id), "turn_id": turn_id}
                session.execute(upsert(session, DeliveryRow, row, ("conversation_id", "message_id")))

    def turn_sent_as(self, key: ConversationKey, message_id: str) -> int | None:
        """See HistoryStore."""
        wanted = (
            select(DeliveryRow.turn_id)
            .join(ConversationRow, ConversationRow.id == DeliveryRow.conversation_id)
            .where(*reading.at(key), DeliveryRow.message_id == identifier(message_id))
        )
        with self._read() as session:
            return session.scalar(wanted)

    def feedback(self, feedback: Feedback) -> None:
        """See HistoryStore."""
        with self._write() as session:
            person = self._person(session, feedback.person)
            self._must_exist(session, feedback.turn_id)
            row = {
                "turn_id": feedback.turn_id,
                "person_id": person,
                "label": storable(feedback.label),
                "value": feedback.value,
                "form": storable(feedback.form),
                "given_at": feedback.given_at,
            }
            session.execute(upsert(session, FeedbackRow, row, ("turn_id", "person_id", "label")))

    def withdraw(self, turn_id: int, person: PersonKey, label: str) -> bool:
        """See HistoryStore."""
        who = select(PersonRow.id).where(PersonRow.hash == self._pseudonyms.of(person)).scalar_subquery()
        one = delete(FeedbackRow).where(
            FeedbackRow.turn_id == turn_id, FeedbackRow.person_id == who, FeedbackRow.label == storable(label)
        )
        with self._write() as session:
            return session.execute(one.returning(FeedbackRow.id)).first() is not None

    def ratings(self, *, form: str | None = None) -> tuple[Given, ...]:
        """See HistoryStore."""
        with self._read() as session:
            return reading.ratings(session, *([] if form is None else [FeedbackRow.form == storable(form)]))

    def forget(self, person: PersonKey) -> Forgotten:
        """See HistoryStore. On SQLite no byte of it is left in the file either, nor an automatic backup."""
        with self._write() as session:
            counts = erasure.forget(session, self._pseudonyms.of(person), self._scope(person))
            erasure.scrub_due(session)
        backups = erasure.scrub(self._engine)
        return Forgotten({**counts, "backups": backups})

    def export(self, person: PersonKey) -> Export:
        """See HistoryStore."""
        who = self._pseudonyms.of(person)
        with self._read() as session:
            said = reading.records_of(session, who)
            given = reading.ratings(session, PersonRow.hash == who)
            return exported(person.door, said, given, reading.settings(session, self._scope(person)))

    def purge(self, older_than: datetime) -> Forgotten:
        """See HistoryStore. Works in batches, so that replies go on meanwhile."""
        return self._cleared(erasure.purge(self._write, older_than), older_than)

    def erase(self, door: str, place_prefix: str) -> Forgotten:
        """See HistoryStore."""
        return self._cleared(erasure.erase(self._write, identifier(door), place_prefix), None)

    def settings(self, scope: Scope) -> Mapping[str, Any]:
        """See HistoryStore."""
        with self._read() as session:
            return reading.settings(session, self._scope(scope))

    def put_settings(self, scope: Scope, changes: Mapping[str, Any]) -> None:
        """See HistoryStore."""
        check_settings(scope, changes)
        where = self._scope(scope)
        with self._write() as session:
            for name, value in changes.items():
                row = {"scope": where, "name": identifier(name), "value": value}
                gone = delete(SettingRow).where(SettingRow.scope == where, SettingRow.name == row["name"])
                session.execute(gone if value is None else upsert(session, SettingRow, row, ("scope", "name")))

    def clear_settings(self, scope: Scope) -> None:
        """See HistoryStore."""
        check_settings(scope, {})
        with self._write() as session:
            session.execute(delete(SettingRow).where(SettingRow.scope == self._scope(scope)))

    def lock(self, key: ConversationKey, *, timeout_s: float) -> AbstractContextManager[None]:
        """See HistoryStore. Among all processes on PostgreSQL, within this process on SQLite (see locks.py)."""
        return self._locks.hold(key, timeout_s)

    def close(self) -> None:
        """See HistoryStore."""
        if self._shared_locks is not None:
            self._shared_locks.close()
        self._engine.dispose()

    @contextmanager
    def _read(self) -> Iterator[Session]:
        with storage_faults(self._engine.url), Session(self._engine) as session:
            yield session

    @contextmanager
    def _write(self) -> Iterator[Session]:
        self._file.check()
        with storage_faults(self._engine.url), Session(self._writer) as session, session.begin():
            yield session

    def _cleared(self, counts: Mapping[str, int], older_than: datetime | None) -> Forgotten:
        if not any(counts.values()):
            return Forgotten(counts)
        with self._write() as session:
            erasure.scrub_due(session)
        return Forgotten({**counts, "backups": erasure.scrub(self._engine, older_than)})

    def _scope(self, scope: Scope) -> str:
        return f"person:{self._pseudonyms.of(scope)}" if isinstance(scope, PersonKey) else identifier(scope)

    def _person(self, session: Session, person: PersonKey) -> int:
        """The person's row, made if need be and locked against ``forget`` until the transaction ends."""
        row = {"hash": self._pseudonyms.of(person)}
        return session.execute(upsert(session, PersonRow, row, ("hash",)).returning(PersonRow.id)).scalar_one()

    def _conversation(self, session: Session, key: ConversationKey) -> tuple[int, int]:
        """Number and episode of the conversation's row, made if need be and locked until the transaction ends."""
        row = {"door": identifier(key.door), "place": identifier(key.place)}
        wanted = upsert(session, ConversationRow, row, ("door", "place"))
        number, episode = session.execute(wanted.returning(ConversationRow.id, ConversationRow.episode)).one()
        return number, episode

    def _exchange(self, session: Session, where: tuple[int, int, int], exchange: Exchange) -> int | None:
        """The new exchange's number, or None when its message id is known in this conversation."""
        row = {
            **dict(zip(("conversation_id", "episode", "person_id"), where, strict=True)),
            "message_id": exchange.message_id,
            "source": str(exchange.source),
            "model": exchange.model,
            "persona": exchange.persona,
            "seconds": dict(exchange.seconds),
            "answered_at": exchange.said.said_at,
        }
        wanted = upsert(session, ExchangeRow, row, ("conversation_id", "message_id"), keep=True)
        return session.execute(wanted.returning(ExchangeRow.id)).scalar()

    def _turn(self, session: Session, exchange: int, turn: Turn, verdict: SafetyVerdict) -> int:
        number = session.execute(insert(TurnRow).values(turn_values(exchange, turn)).returning(TurnRow.id)).scalar_one()
        session.execute(insert(VerdictRow).values(verdict_values(number, verdict)))
        return number

    def _must_exist(self, session: Session, turn_id: int) -> None:
        """Raise UserError unless the turn exists; on PostgreSQL it cannot be deleted until the transaction ends."""
        wanted = select(TurnRow.id).where(TurnRow.id == turn_id).with_for_update(read=True, key_share=True)
        if session.scalar(wanted) is None:
            raise UserError(f"There is no stored turn number {turn_id}; it may have been deleted.")
