"""Queries: each takes a session and gives back plain values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from bot.history.keeping import identifier
from bot.history.rows import record_of, turn_of
from bot.history.store import Given, Record
from bot.history.tables import (
    CandidateRow,
    ConversationRow,
    ExchangeRow,
    FeedbackRow,
    PersonRow,
    SettingRow,
    TurnRow,
    VerdictRow,
)
from dialogue.turns import ConversationKey, Turn

_AT_ONCE = 500
"""Ids in one IN list: well under every database's limit of bound parameters."""


def at(key: ConversationKey) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """The condition that a conversation's row is this one."""
    return ConversationRow.door == identifier(key.door), ConversationRow.place == identifier(key.place)


def chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """The ids in pieces that fit into one statement."""
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))


def conversation(session: Session, key: ConversationKey) -> ConversationRow | None:
    """The conversation's row, if anything was ever stored for it."""
    return session.scalar(select(ConversationRow).where(*at(key)))


def newest_turns(session: Session, place: ConversationRow, last: int) -> tuple[Turn, ...]:
    """The newest turns of the present episode, oldest first. An exchange has two, so few of them are looked at."""
    newest = (
        select(ExchangeRow.id)
        .where(ExchangeRow.conversation_id == place.id, ExchangeRow.episode == place.episode)
        .order_by(ExchangeRow.id.desc())
        .limit((max(0, last) + 1) // 2)
    )
    wanted = select(TurnRow).where(TurnRow.exchange_id.in_(newest)).order_by(TurnRow.id.desc()).limit(max(0, last))
    return tuple(turn_of(row) for row in reversed(session.scalars(wanted).all()))


def answered(session: Session, key: ConversationKey, message_id: str) -> Record | None:
    """The exchange that answered a message."""
    wanted = select(ExchangeRow.id).join(ConversationRow).where(*at(key), ExchangeRow.message_id == message_id)
    return _only(session, session.scalar(wanted))


def last_record(session: Session, key: ConversationKey) -> Record | None:
    """The last exchange of the present episode."""
    wanted = (
        select(ExchangeRow.id)
        .join(ConversationRow)
        .where(*at(key), ExchangeRow.episode == ConversationRow.episode)
        .order_by(ExchangeRow.id.desc())
        .limit(1)
    )
    return _only(session, session.scalar(wanted))


def record_with(session: Session, turn_id: int) -> Record | None:
    """The exchange that a turn is part of."""
    return _only(session, session.scalar(select(TurnRow.exchange_id).where(TurnRow.id == turn_id)))


def turns_up_to(session: Session, turn_id: int) -> tuple[Turn, ...]:
    """The turns of a turn's episode, from its beginning up to and including it."""
    here = session.scalar(select(ExchangeRow).join(TurnRow).where(TurnRow.id == turn_id))
    if here is None:
        return ()
    wanted = (
        select(TurnRow)
        .join(ExchangeRow)
        .where(
            ExchangeRow.conversation_id == here.conversation_id,
            ExchangeRow.episode == here.episode,
            TurnRow.id <= turn_id,
        )
        .order_by(TurnRow.id)
    )
    return tuple(turn_of(row) for row in session.scalars(wanted))


def records_of(session: Session, person_hash: str) -> list[tuple[ConversationKey, Record]]:
    """Every exchange of a person with the place it happened in, oldest first."""
    wanted = (
        select(ExchangeRow.id, ConversationRow.door, ConversationRow.place)
        .join(ConversationRow)
        .join(PersonRow)
        .where(PersonRow.hash == person_hash)
        .order_by(ExchangeRow.id)
    )
    rows = session.execute(wanted).all()
    found = records(session, [number for number, _, _ in rows])
    return [(ConversationKey(door, place), found[number]) for number, door, place in rows if number in found]


def records(session: Session, exchange_ids: Sequence[int]) -> dict[int, Record]:
    """Whole exchanges by their number, in three queries per 500 of them."""
    return {number: record for part in chunks(exchange_ids) for number, record in _records(session, part).items()}


def ratings(session: Session, *conditions: ColumnElement[bool]) -> tuple[Given, ...]:
    """The ratings that meet the conditions, in the order of their turns."""
    wanted = (
        select(FeedbackRow, PersonRow.hash)
        .join(PersonRow)
        .where(*conditions)
        .order_by(FeedbackRow.turn_id, FeedbackRow.label, PersonRow.hash)
    )
    return tuple(
        Given(row.turn_id, rater, row.label, row.value, row.form, row.given_at)
        for row, rater in session.execute(wanted)
    )


def settings(session: Session, scope: str) -> dict[str, Any]:
    """The settings of a scope by name."""
    wanted = select(SettingRow).where(SettingRow.scope == scope).order_by(SettingRow.name)
    return {row.name: row.value for row in session.scalars(wanted)}


def _only(session: Session, exchange_id: int | None) -> Record | None:
    return None if exchange_id is None else _records(session, [exchange_id]).get(exchange_id)


def _records(session: Session, ids: Sequence[int]) -> dict[int, Record]:
    exchanges = session.scalars(select(ExchangeRow).where(ExchangeRow.id.in_(ids)).order_by(ExchangeRow.id))
    turns: defaultdict[int, list[tuple[TurnRow, VerdictRow]]] = defaultdict(list)
    spoken = select(TurnRow, VerdictRow).join(VerdictRow).where(TurnRow.exchange_id.in_(ids)).order_by(TurnRow.id)
    for turn, verdict in session.execute(spoken):
        turns[turn.exchange_id].append((turn, verdict))
    candidates: defaultdict[int, list[CandidateRow]] = defaultdict(list)
    ranked = select(CandidateRow).where(CandidateRow.exchange_id.in_(ids)).order_by(CandidateRow.rank)
    for candidate in session.scalars(ranked):
        candidates[candidate.exchange_id].append(candidate)
    return {row.id: record_of(row, turns[row.id], candidates[row.id]) for row in exchanges if row.id in turns}
