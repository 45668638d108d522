"""The tables, typed. People appear as keyed hashes only; what hangs on an exchange goes when the exchange goes.

::

    people ──< exchanges >── conversations         one exchange: one message and its reply
                  ├──< turns ──┬── verdicts        (two turns, one verdict each)
                  │            ├──< feedback >── people
                  │            └──< deliveries >── conversations
                  └──< candidates                  settings: by scope and name
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, ForeignKey, Index, Integer, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""Constraint names that are the same on every database, so that a migration can name what it changes."""

Id = BigInteger().with_variant(Integer, "sqlite")
"""64 bits; SQLite wants the word INTEGER for a key that it numbers itself."""


class Moment(TypeDecorator[datetime]):
    """A point in time, always UTC: SQLite keeps no time zone, so none but UTC may be written."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a value without a zone is taken as local time."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables of the history."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 - read by SQLAlchemy


class PersonRow(Base):
    """A person, as the keyed hash of door and name."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    hash: Mapped[str] = mapped_column(unique=True)


class ConversationRow(Base):
    """A place where people talk; ``episode`` counts its resets, ``persona`` is the one chosen there."""

    __tablename__ = "conversations"
    __table_args__ = (UniqueConstraint("door", "place"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    door: Mapped[str]
    place: Mapped[str]
    episode: Mapped[int] = mapped_column(default=0)
    persona: Mapped[str | None]


class ExchangeRow(Base):
    """One message of one person and the bot's reply; ``answered_at`` is the time of the reply."""

    __tablename__ = "exchanges"
    __table_args__ = (
        UniqueConstraint("conversation_id", "message_id"),
        Index(None, "conversation_id", "episode", "id"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    episode: Mapped[int]
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    message_id: Mapped[str | None]
    source: Mapped[str]
    model: Mapped[str]
    persona: Mapped[str]
    seconds: Mapped[dict[str, Any]]
    answered_at: Mapped[datetime] = mapped_column(index=True)


class TurnRow(Base):
    """What was heard (role "user") or said (role "bot"). Ids are never used twice: ratings point at them."""

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("exchange_id", "role"), {"sqlite_autoincrement": True})
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"))
    role: Mapped[str]
    text: Mapped[str]
    speaker: Mapped[str | None]
    said_at: Mapped[datetime]


class VerdictRow(Base):
    """What the safety layer decided about a turn."""

    __tablename__ = "verdicts"
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"), primary_key=True)
    action: Mapped[int]
    category: Mapped[str | None]
    scores: Mapped[dict[str, Any]]
    threshold: Mapped[float | None]
    detector: Mapped[str | None]
    spans: Mapped[list[Any]]
    reasons: Mapped[list[Any]]


class CandidateRow(Base):
    """A reply that could have been given, masked; ``rank`` counts from 0. Numbers that are not a number are NULL."""

    __tablename__ = "candidates"
    exchange_id: Mapped[int] = mapped_column(ForeignKey("exchanges.id", ondelete="CASCADE"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]
    log_prob: Mapped[float | None]
    score: Mapped[float | None]
    finished: Mapped[bool]
    features: Mapped[dict[str, Any]]
    dropped_by: Mapped[str | None]


class FeedbackRow(Base):
    """A person's rating of a turn, with the version of the questions it was given under."""

    __tablename__ = "feedback"
    __table_args__ = (UniqueConstraint("turn_id", "person_id", "label"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    label: Mapped[str]
    value: Mapped[int]
    form: Mapped[str]
    given_at: Mapped[datetime]


class DeliveryRow(Base):
    """Under which message id a door delivered a turn; a long reply may need several."""

    __tablename__ = "deliveries"
    conversation_id: Mapped[int] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"), primary_key=True)
    message_id: Mapped[str] = mapped_column(primary_key=True)
    turn_id: Mapped[int] = mapped_column(ForeignKey("turns.id", ondelete="CASCADE"), index=True)


class SettingRow(Base):
    """One setting of a server, a person or the store itself, as JSON."""

    __tablename__ = "settings"
    scope: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
