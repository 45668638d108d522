"""Studies and their raters: what is asked, of how many people, about which systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from dialogue.errors import UnknownName, UserError
from dialogue.turns import now
from eval.ssa.database import RatingDatabase
from eval.ssa.practice import add_practice
from eval.ssa.protocol import Kind
from eval.ssa.questions import BETTER_TO_TALK, PAIR_QUESTIONS, QUESTIONS, SENSIBLE, SPECIFIC
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, RaterRow, State, StudyRow

EXTRAS = tuple(label for label in QUESTIONS if label not in (SENSIBLE, SPECIFIC))
"""What a study may ask in addition to the two questions of SSA."""

RATER_KINDS = ("person", "language model")


@dataclass(frozen=True, slots=True)
class ChatSystem:
    """A system that people can talk to: our engine with these settings, or the generic control."""

    name: str
    engine: str = "chinwag"
    preset: str | None = None
    persona: str | None = None


@dataclass(frozen=True, slots=True)
class StudySettings:
    """What the owner decides. ``lease_s``: seconds an item waits for its rater; ``margin``: SSA, what counts as alike.

    ``planned``: conversations of each system, fixed beforehand (the sequential rule is tightest there).
    """

    language: str = "en"
    raters_per_item: int = 5
    extras: tuple[str, ...] = ()
    questions: tuple[str, ...] = (BETTER_TO_TALK,)
    gold_every: int = 10
    practice: bool = True
    lease_s: int = 900
    planned: int = 100
    margin: float = 0.03
    blinded: bool = True
    anyone: bool = False
    turns: tuple[int, int] = (14, 28)
    systems: tuple[ChatSystem, ...] = ()
    instructions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """For the database."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StudySettings:
        """From the database; settings it does not know yet have their defaults."""
        known = {name: data[name] for name in (f.name for f in fields(cls)) if name in data}
        for name in ("extras", "questions", "turns"):
            if name in known:
                known[name] = tuple(known[name])
        known["systems"] = tuple(ChatSystem(**system) for system in known.get("systems", ()))
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Study:
    """A study as it is stored."""

    id: int
    name: str
    kind: Kind
    settings: StudySettings
    closed: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Rater:
    """Somebody who rates in one study."""

    id: int
    study_id: int
    name: str
    kind: str
    language: str


def create_study(database: RatingDatabase, name: str, kind: Kind, settings: StudySettings) -> Study:
    """Make a study, with its five practice items. UserError for a name that exists or settings that cannot be."""
    _check(name, settings)
    with database.writing() as session:
        if session.scalar(select(StudyRow.id).where(StudyRow.name == name)):
            raise UserError(f"There is a study named {name!r} already; choose another name.")
        row = StudyRow(name=name, kind=kind, settings=settings.to_json(), created_at=now())
        session.add(row)
        session.flush()
        if settings.practice and kind is not Kind.PAIRWISE:
            add_practice(session, row.id, settings.language)
        return _study(row)


def change_study(database: RatingDatabase, study_id: int, settings: StudySettings, *, closed: bool = False) -> Study:
    """Change what can still be changed; the number of raters applies to items at once."""
    with database.writing() as session:
        row = _row(session, study_id)
        _check(row.name, settings)
        row.settings, row.closed = settings.to_json(), closed
        session.execute(
            update(ItemRow)
            .where(ItemRow.study_id == study_id, ItemRow.role == ItemRole.ITEM)
            .values(wanted=settings.raters_per_item)
        )
        return _study(row)


def delete_study(database: RatingDatabase, study_id: int) -> None:
    """Remove a study with its talks, raters and labels."""
    with database.writing() as session:
        session.execute(delete(StudyRow).where(StudyRow.id == _row(session, study_id).id))


def studies(database: RatingDatabase) -> list[Study]:
    """All studies, newest first."""
    with database.reading() as session:
        return [_study(row) for row in session.scalars(select(StudyRow).order_by(StudyRow.id.desc()))]


def study(database: RatingDatabase, study_id: int) -> Study:
    """One study. UserError where there is none."""
    with database.reading() as session:
        return _study(_row(session, study_id))


def study_named(database: RatingDatabase, name: str) -> Study:
    """One study by its name; UnknownName with the nearest one."""
    known = {one.name: one for one in studies(database)}
    if name not in known:
        raise UnknownName("study", name, known)
    return known[name]


def join(
    database: RatingDatabase, study_id: int, name: str, *, kind: str = "person", language: str | None = None
) -> Rater:
    """The rater of this name in a study, made on the first visit. UserError for an empty or endless name."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 60:
        raise UserError("A name has between 1 and 60 characters.")
    if kind not in RATER_KINDS:
        raise UnknownName("kind of rater", kind, RATER_KINDS)
    with database.writing() as session:
        _row(session, study_id)
        own = session.get_one(StudyRow, study_id, with_for_update=True)  # two first visits at once make one rater
        settings = _study(own).settings
        query = select(RaterRow).where(RaterRow.study_id == study_id, RaterRow.name == name)
        row = session.scalar(query)
        if row is None:
            row = RaterRow(
                study_id=study_id, name=name, kind=kind, language=language or settings.language, created_at=now()
            )
            session.add(row)
            session.flush()
        return _rater(row)


def rater(database: RatingDatabase, rater_id: int) -> Rater:
    """One rater. UserError where there is none (any more)."""
    with database.reading() as session:
        row = session.get(RaterRow, rater_id)
        if row is None:
            raise UserError("This link belongs to a study that has been deleted.")
        return _rater(row)


def set_language(database: RatingDatabase, rater_id: int, language: str) -> None:
    """The language of a rater's screen."""
    with database.writing() as session:
        session.execute(update(RaterRow).where(RaterRow.id == rater_id).values(language=language))


def raters(database: RatingDatabase, study_id: int) -> list[Rater]:
    """Everybody who was invited to a study or came, by name."""
    with database.reading() as session:
        query = select(RaterRow).where(RaterRow.study_id == study_id).order_by(RaterRow.name)
        return [_rater(row) for row in session.scalars(query)]


def count_items(database: RatingDatabase, study_id: int) -> dict[str, int]:
    """Items by role."""
    with database.reading() as session:
        query = select(ItemRow.role, func.count()).where(ItemRow.study_id == study_id).group_by(ItemRow.role)
        return {str(row[0]): int(row[1]) for row in session.execute(query)}


def counts(database: RatingDatabase, study_id: int) -> dict[str, int]:
    """Where a study stands now: ratings, replies rated, complete, raters, in hand, skipped. Gold and practice apart."""
    with database.reading() as session:
        states = (
            select(AssignmentRow.state, func.count(), func.count(AssignmentRow.item_id.distinct()))
            .join(ItemRow)
            .where(ItemRow.study_id == study_id, ItemRow.role == ItemRole.ITEM)
            .group_by(AssignmentRow.state)
        )
        rows = {int(row[0]): (int(row[1]), int(row[2])) for row in session.execute(states)}
        done, items = rows.get(State.DONE, (0, 0))
        full = (
            select(AssignmentRow.item_id)
            .join(ItemRow)
            .where(ItemRow.study_id == study_id, ItemRow.role == ItemRole.ITEM, AssignmentRow.state == State.DONE)
            .group_by(AssignmentRow.item_id, ItemRow.wanted)
            .having(func.count() >= ItemRow.wanted)
            .subquery()
        )
        people = (
            select(func.count(AssignmentRow.rater_id.distinct()))
            .join(ItemRow)
            .where(ItemRow.study_id == study_id, AssignmentRow.state == State.DONE)
        )
        return {
            "ratings": done,
            "replies rated": items,
            "complete": session.scalar(select(func.count()).select_from(full)) or 0,
            "raters": session.scalar(people) or 0,
            "in hand": rows.get(State.LEASED, (0, 0))[0],
            "skipped": rows.get(State.SKIPPED, (0, 0))[0],
        }


def _check(name: str, settings: StudySettings) -> None:
    if not 1 <= len(name.strip()) <= 80:
        raise UserError("A study needs a name of at most 80 characters.")
    if not 1 <= settings.raters_per_item <= 50:
        raise UserError("Between 1 and 50 raters can rate an item.")
    if settings.lease_s < 30:
        raise UserError("A rater needs at least 30 seconds for an item.")
    for extra in settings.extras:
        if extra not in EXTRAS:
            raise UnknownName("question", extra, EXTRAS)
    for question in settings.questions:
        if question not in PAIR_QUESTIONS:
            raise UnknownName("question about pairs", question, PAIR_QUESTIONS)


def _row(session: Session, study_id: int) -> StudyRow:
    row = session.get(StudyRow, study_id)
    if row is None:
        raise UserError("This study has been deleted.")
    return row


def _study(row: StudyRow) -> Study:
    settings = StudySettings.from_json(row.settings)
    return Study(row.id, row.name, Kind(row.kind), settings, row.closed, row.created_at)


def _rater(row: RaterRow) -> Rater:
    return Rater(row.id, row.study_id, row.name, row.kind, row.language)
