"""The tables of the rating console, typed. They live beside the history's tables in the same database, and apart.

::

    rating_studies ──< rating_talks ──< rating_items ──< rating_assignments >── rating_raters >── rating_studies

A talk is a conversation of one system. An item is one reply of it (or a pair of talks) that wants a number of raters.
An assignment is one item in one rater's hands: leased, then done with its labels, or skipped. ``taken`` of an item
counts its assignments that are leased or done, so that a free place is found without counting.
"""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, MetaData, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bot.history.tables import NAMES, Id, Moment

SCHEMA = "1"
"""Version of these tables; the console refuses a database with a newer one."""


class ItemRole(StrEnum):
    """What an item is for. Gold items have a known answer and never count in a result."""

    ITEM = "item"
    GOLD = "gold"
    PRACTICE = "practice"


class State(IntEnum):
    """Where an assignment stands."""

    LEASED = 0
    DONE = 1
    SKIPPED = 2


class Base(DeclarativeBase):
    """All tables of the console."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Moment, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012 - read by SQLAlchemy


class NoteRow(Base):
    """What the console remembers about itself: the schema's version and the key that signs links."""

    __tablename__ = "rating_notes"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class StudyRow(Base):
    """A study; ``settings`` is studies.StudySettings as JSON."""

    __tablename__ = "rating_studies"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    settings: Mapped[dict[str, Any]]
    closed: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class TalkRow(Base):
    """A conversation. ``turns``: [{"speaker", "text"}]; ``facts``: how it was made (decoding, safety, model …)."""

    __tablename__ = "rating_talks"
    __table_args__ = (UniqueConstraint("study_id", "system", "source"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("rating_studies.id", ondelete="CASCADE"))
    system: Mapped[str]
    source: Mapped[str]
    language: Mapped[str]
    turns: Mapped[list[Any]]
    facts: Mapped[dict[str, Any]]
    chatter_id: Mapped[int | None] = mapped_column(ForeignKey("rating_raters.id", ondelete="SET NULL"))
    created_at: Mapped[datetime]


class ItemRow(Base):
    """What is rated: turn number ``turn`` of a talk, or with ``turn`` -1 the whole talk against ``other_talk_id``."""

    __tablename__ = "rating_items"
    __table_args__ = (
        UniqueConstraint("talk_id", "turn", "other_talk_id", "question"),
        Index(None, "study_id", "role", "taken", "position"),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("rating_studies.id", ondelete="CASCADE"))
    talk_id: Mapped[int] = mapped_column(ForeignKey("rating_talks.id", ondelete="CASCADE"))
    turn: Mapped[int]
    other_talk_id: Mapped[int] = mapped_column(Id, default=0)
    question: Mapped[str] = mapped_column(default="")
    role: Mapped[str] = mapped_column(default=ItemRole.ITEM)
    expected: Mapped[dict[str, Any]] = mapped_column(default=dict)
    remark: Mapped[dict[str, Any]] = mapped_column(default=dict)
    position: Mapped[int]
    wanted: Mapped[int]
    taken: Mapped[int] = mapped_column(default=0)


class RaterRow(Base):
    """Somebody who rates in one study. ``kind``: "person", "language model" or "imported"."""

    __tablename__ = "rating_raters"
    __table_args__ = (UniqueConstraint("study_id", "name"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("rating_studies.id", ondelete="CASCADE"))
    name: Mapped[str]
    kind: Mapped[str]
    language: Mapped[str]
    created_at: Mapped[datetime]


class AssignmentRow(Base):
    """One item in one rater's hands; the pair is unique, so nobody rates an item twice. ``flipped``: sides swapped."""

    __tablename__ = "rating_assignments"
    __table_args__ = (UniqueConstraint("item_id", "rater_id"), Index(None, "rater_id", "state"))
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("rating_items.id", ondelete="CASCADE"))
    rater_id: Mapped[int] = mapped_column(ForeignKey("rating_raters.id", ondelete="CASCADE"))
    state: Mapped[int]
    labels: Mapped[dict[str, Any]]
    form: Mapped[str]
    flipped: Mapped[bool] = mapped_column(default=False)
    started_at: Mapped[datetime]
    leased_until: Mapped[datetime]
    done_at: Mapped[datetime | None]
    seconds: Mapped[float | None]
