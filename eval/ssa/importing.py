"""Talks into a study: whole or as a random sample, with the votes they bring; and talks of our own history."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from bot.history.store import HistoryStore
from dialogue.errors import UserError
from dialogue.turns import Role, now
from eval.ssa.database import RatingDatabase
from eval.ssa.protocol import Kind
from eval.ssa.studies import StudySettings
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, RaterRow, State, StudyRow, TalkRow
from eval.ssa.transcripts import ForeignVote, Talk, guess_language

_NO_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import brought; ``known`` talks were there before and are left as they are."""

    talks: int = 0
    replies: int = 0
    gold: int = 0
    votes: int = 0
    known: int = 0


def sample(
    talks: Sequence[Talk], *, replies: int | None = None, per_talk: int | None = None, seed: int = 0
) -> list[Talk]:
    """A random part: at most ``per_talk`` rated replies of a talk and ``replies`` of each system; votes follow."""
    draw = random.Random(seed)
    shuffled = draw.sample(list(talks), len(talks))
    left = {talk.system: replies if replies is not None else _NO_LIMIT for talk in talks}
    kept = []
    for talk in shuffled:
        size = min(left[talk.system], per_talk or len(talk.rated), len(talk.rated))
        if size > 0:
            rated = tuple(sorted(draw.sample(talk.rated, size)))
            votes = tuple(vote for vote in talk.votes if vote.turn in rated)
            kept.append(replace(talk, rated=rated, votes=votes))
            left[talk.system] -= size
    return kept


def import_talks(database: RatingDatabase, study_id: int, talks: Iterable[Talk]) -> Imported:
    """Put talks into a study, in one transaction. Items are shuffled; a talk that is there already is not doubled."""
    found = Imported()
    with database.writing() as session:
        study = session.get(StudyRow, study_id)
        if study is None:
            raise UserError("This study has been deleted.")
        settings = StudySettings.from_json(study.settings)
        query = select(TalkRow.system, TalkRow.source).where(TalkRow.study_id == study_id)
        known = {(row.system, row.source) for row in session.execute(query)}
        raters = {row.name: row.id for row in session.scalars(select(RaterRow).where(RaterRow.study_id == study_id))}
        for talk in talks:
            if study.kind == Kind.PAIRWISE:  # whole talks are compared there, not their replies
                talk = replace(talk, rated=(), votes=())
            if (talk.system, talk.source) in known:
                found = replace(found, known=found.known + 1)
                continue
            known.add((talk.system, talk.source))
            votes = _add(session, study_id, talk, settings, raters)
            found = Imported(
                found.talks + 1,
                found.replies + len(talk.rated) - len(talk.gold),
                found.gold + len(talk.gold),
                found.votes + votes,
                found.known,
            )
    return found


def _add(session: Session, study_id: int, talk: Talk, settings: StudySettings, raters: dict[str, int]) -> int:
    row = TalkRow(
        study_id=study_id, system=talk.system, source=talk.source, language=talk.language, turns=list(talk.turns),
        facts=dict(talk.facts), created_at=now(),
    )  # fmt: skip
    session.add(row)
    session.flush()
    votes_of: dict[int, list[ForeignVote]] = {}
    for vote in talk.votes:
        votes_of.setdefault(vote.turn, []).append(vote)
    items = [_item(study_id, row.id, turn, talk, settings, len(votes_of.get(turn, ()))) for turn in talk.rated]
    session.add_all(items)
    session.flush()
    found = [
        _assignment(item.id, _rater(session, study_id, vote, talk.language, raters), vote)
        for item in items
        for vote in votes_of.get(item.turn, ())
    ]
    if found:
        session.execute(insert(AssignmentRow), found)
    return len(found)


def _item(study_id: int, talk_id: int, turn: int, talk: Talk, settings: StudySettings, taken: int) -> ItemRow:
    gold = turn in talk.gold
    return ItemRow(
        study_id=study_id, talk_id=talk_id, turn=turn, role=ItemRole.GOLD if gold else ItemRole.ITEM,
        expected=dict(talk.gold.get(turn, {})), position=random.getrandbits(31), taken=taken,
        wanted=_NO_LIMIT if gold else settings.raters_per_item,
    )  # fmt: skip


def _rater(session: Session, study_id: int, vote: ForeignVote, language: str, raters: dict[str, int]) -> int:
    if vote.rater not in raters:
        row = RaterRow(study_id=study_id, name=vote.rater, kind=vote.kind, language=language, created_at=now())
        session.add(row)
        session.flush()
        raters[vote.rater] = row.id
    return raters[vote.rater]


def _assignment(item_id: int, rater_id: int, vote: ForeignVote) -> dict[str, Any]:
    moment = vote.given_at or now()
    return {
        "item_id": item_id, "rater_id": rater_id, "state": int(State.DONE), "labels": dict(vote.labels),
        "form": vote.form, "flipped": False, "started_at": moment, "leased_until": moment, "done_at": moment,
        "seconds": vote.seconds,
    }  # fmt: skip


def talks_from_history(store: HistoryStore, system: str, *, agreed: bool) -> list[Talk]:
    """Replies that people rated in a chat, each with its conversation so far; names are dropped, texts are masked.

    UserError unless ``agreed``: the owner answers for the consent of the people whose words will be read by raters.
    """
    if not agreed:
        raise UserError("Conversations of people are shown to raters only when these people agreed to it.")
    found = []
    for turn_id in dict.fromkeys(given.turn_id for given in store.ratings()):
        turns = [
            {"speaker": "bot" if turn.role is Role.BOT else "person", "text": turn.text}
            for turn in store.transcript(turn_id)
        ]
        if len(turns) < 2 or turns[-1]["speaker"] != "bot":
            continue
        facts = {"bot": "bot", "history_turn": turn_id, **_made_by(store, turn_id)}
        language = guess_language(turns)
        found.append(Talk(system, f"history-{turn_id}", tuple(turns), (len(turns) - 1,), language, facts))
    return found


def _made_by(store: HistoryStore, turn_id: int) -> dict[str, Any]:
    record = store.record(turn_id)
    return {} if record is None else {"model": record.model, "persona": record.persona, "safety": True}


def drop_forgotten(database: RatingDatabase, store: HistoryStore) -> int:
    """Remove copies of conversations that the history has forgotten since, with their labels; how many."""
    with database.reading() as session:
        talks = session.execute(select(TalkRow.id, TalkRow.facts)).all()
    gone = [row.id for row in talks if (turn := row.facts.get("history_turn")) and not store.transcript(turn)]
    if gone:
        with database.writing() as session:
            session.execute(delete(TalkRow).where(TalkRow.id.in_(gone)))
    return len(gone)


def add_reply(
    session: Session, study_id: int, talk: TalkRow, settings: StudySettings, *, wanted: int | None = None
) -> ItemRow:
    """An item for the last turn of a talk that is still going on."""
    item = ItemRow(
        study_id=study_id, talk_id=talk.id, turn=len(talk.turns) - 1, role=ItemRole.ITEM, expected={},
        position=random.getrandbits(31), wanted=wanted or settings.raters_per_item, taken=1,
    )  # fmt: skip
    session.add(item)
    session.flush()
    return item
