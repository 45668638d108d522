"""Talks that are still going on: a person chats with a hidden system and labels each reply. Knows no engine.

The chatter is told that it is a bot, but not which one: systems are drawn so that all get equally many talks.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dialogue.errors import UserError
from dialogue.turns import now
from eval.ssa.assignment import lease_to
from eval.ssa.database import RatingDatabase
from eval.ssa.importing import add_reply
from eval.ssa.studies import ChatSystem, StudySettings, rater, study
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, State, StudyRow, TalkRow
from eval.ssa.tasks import open_questions

PERSON, BOT = "person", "bot"


@dataclass(frozen=True, slots=True)
class LiveTurn:
    """One turn; a bot's turn has the item that is rated, what was said about it and what is still asked."""

    speaker: str
    text: str
    item_id: int | None = None
    given: Mapping[str, int] | None = None
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LiveTalk:
    """A talk in progress, as its chatter sees it. ``finished``: no more can be said."""

    id: int
    source: str
    turns: tuple[LiveTurn, ...]
    finished: bool

    @property
    def unrated(self) -> LiveTurn | None:
        """The reply that waits for its label."""
        return next((turn for turn in self.turns if turn.open), None)


def present_talk(database: RatingDatabase, rater_id: int) -> LiveTalk | None:
    """The chatter's unfinished talk, to be taken up again after anything; None when there is none."""
    with database.reading() as session:
        row = _present(session, rater_id)
        return None if row is None else _talk(session, row, rater_id)


def begin_talk(database: RatingDatabase, rater_id: int) -> LiveTalk:
    """A new talk with a system that has had the fewest; the unfinished one where there is one."""
    own = study(database, rater(database, rater_id).study_id)
    if not own.settings.systems:
        raise UserError("This study names no system to talk to; the owner adds one under Set-up.")
    with database.writing() as session:
        row = _present(session, rater_id)
        if row is None:
            system = _fewest(session, own.id, own.settings)
            row = TalkRow(
                study_id=own.id, system=system.name, source=f"chat-{secrets.token_hex(6)}", chatter_id=rater_id,
                language=own.settings.language, turns=[], facts={"bot": BOT, "finished": False}, created_at=now(),
            )  # fmt: skip
            session.add(row)
            session.flush()
        return _talk(session, row, rater_id)


def system_of(database: RatingDatabase, talk_id: int) -> ChatSystem:
    """What answers in a talk: for the program, never for a rater's screen. UserError when it was removed."""
    with database.reading() as session:
        row = session.get_one(TalkRow, talk_id)
        name, study_id = row.system, row.study_id
    for system in study(database, study_id).settings.systems:
        if system.name == name:
            return system
    raise UserError("The system of this talk has been taken out of the study; begin a new talk.")


def add_exchange(
    database: RatingDatabase, rater_id: int, talk_id: int, heard: str, said: str, facts: Mapping[str, Any]
) -> LiveTalk:
    """Store what was said and answered; the reply is in its chatter's hands at once. ``facts``: decoding, safety …"""
    with database.writing() as session:
        row, settings = _own(session, rater_id, talk_id)
        row.turns = [*row.turns, {"speaker": PERSON, "text": heard}, {"speaker": BOT, "text": said}]
        decoding = facts.get("decoding")
        decodings = [*row.facts.get("decodings", ()), *([decoding] if decoding else [])]
        kept = {key: value for key, value in facts.items() if key != "decoding"}
        row.facts = {**row.facts, **kept, "decodings": list(dict.fromkeys(decodings))}
        session.flush()
        lease_to(session, rater_id, add_reply(session, row.study_id, row, settings), settings)
        return _talk(session, row, rater_id)


def finish_talk(database: RatingDatabase, rater_id: int, talk_id: int) -> LiveTalk:
    """Close a talk. UserError while it is shorter than the study wants or a reply has no label."""
    with database.writing() as session:
        row, settings = _own(session, rater_id, talk_id)
        talk = _talk(session, row, rater_id)
        if len(talk.turns) < settings.turns[0]:
            raise UserError(f"A conversation has at least {settings.turns[0]} turns; this one has {len(talk.turns)}.")
        if talk.unrated:
            raise UserError("One reply has no label yet.")
        row.facts = {**row.facts, "finished": True}
        return _talk(session, row, rater_id)


def abandon_talk(database: RatingDatabase, rater_id: int, talk_id: int) -> None:
    """Give a talk up. Its labels stay; a reply without a label is no item any more."""
    with database.writing() as session:
        row, _ = _own(session, rater_id, talk_id)
        for turn in _talk(session, row, rater_id).turns:
            if turn.open and turn.item_id is not None:
                session.delete(session.get_one(ItemRow, turn.item_id))
        row.facts = {**row.facts, "finished": True, "abandoned": True}
        if not row.turns:
            session.delete(row)


def _fewest(session: Session, study_id: int, settings: StudySettings) -> ChatSystem:
    query = select(TalkRow.system, func.count()).where(TalkRow.study_id == study_id).group_by(TalkRow.system)
    counts = {str(row[0]): int(row[1]) for row in session.execute(query)}
    return min(settings.systems, key=lambda system: (counts.get(system.name, 0), random.random()))


def _present(session: Session, rater_id: int) -> TalkRow | None:
    query = select(TalkRow).where(TalkRow.chatter_id == rater_id).order_by(TalkRow.id.desc()).limit(1)
    row = session.scalar(query)
    return None if row is None or row.facts.get("finished") else row


def _own(session: Session, rater_id: int, talk_id: int) -> tuple[TalkRow, StudySettings]:
    row = session.get(TalkRow, talk_id, with_for_update=True)
    if row is None or row.chatter_id != rater_id or row.facts.get("finished"):
        raise UserError("This conversation is over; begin a new one.")
    return row, _settings(session, row.study_id)


def _settings(session: Session, study_id: int) -> StudySettings:
    return StudySettings.from_json(session.get_one(StudyRow, study_id).settings)


def _talk(session: Session, row: TalkRow, rater_id: int) -> LiveTalk:
    settings = _settings(session, row.study_id)
    query = select(ItemRow, AssignmentRow).join(AssignmentRow, AssignmentRow.item_id == ItemRow.id)
    query = query.where(ItemRow.talk_id == row.id, AssignmentRow.rater_id == rater_id, ItemRow.role == ItemRole.ITEM)
    items = {item.turn: (item, given) for item, given in session.execute(query)}
    turns = tuple(_turn(i, turn, items, settings) for i, turn in enumerate(row.turns))
    full = len(turns) >= settings.turns[1] and not any(turn.open for turn in turns)
    return LiveTalk(row.id, row.source, turns, bool(row.facts.get("finished")) or full)


def _turn(
    number: int, turn: Mapping[str, str], items: Mapping[int, tuple[ItemRow, AssignmentRow]], settings: StudySettings
) -> LiveTurn:
    if number not in items:
        return LiveTurn(turn["speaker"], turn["text"])
    item, row = items[number]
    asked: Sequence[str] = () if row.state != State.LEASED else open_questions(item, settings, row.labels)
    return LiveTurn(turn["speaker"], turn["text"], item.id, dict(row.labels), tuple(asked))
