"""Who rates what next: leases, answers, undo. Every click is one transaction; nothing lives only in a browser.

No item is lost: a lease that nobody answers goes back to the others. None is given twice to one person: the pair of
item and rater is unique. An answer that arrives after its lease went to somebody else is kept all the same. Raters get
a ``Task``, which names no system.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from dialogue.errors import UserError
from dialogue.turns import now
from eval.ssa.database import RatingDatabase
from eval.ssa.protocol import implied, still_open
from eval.ssa.questions import FORM
from eval.ssa.studies import StudySettings
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, RaterRow, State, StudyRow, TalkRow
from eval.ssa.tasks import Task, open_questions, task_of

_PATIENCE, _PAUSE_S = 40, 0.025
"""How often and how long to wait for a place that is locked. Waiting on the lock itself could lock two in a circle."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rater is: replies done, and how many more are open for them now."""

    done: int
    left: int
    practice_done: int
    practice_all: int

    @property
    def share(self) -> float:
        """0 … 1."""
        return self.done / (self.done + self.left) if self.done + self.left else 1.0


def next_task(database: RatingDatabase, rater_id: int) -> Task | None:
    """What this rater does next: the item they hold, else a new lease; None when nothing is left for them."""
    with database.writing() as session:
        return _next(session, rater_id, *_study_of(session, rater_id))


def answer(
    database: RatingDatabase, rater_id: int, item_id: int, labels: Mapping[str, int], *, go_on: bool = True
) -> Task | None:
    """Save labels about an item and hand out what comes next (``go_on``): the same item while questions are open.

    Saving the same answer twice changes nothing. UserError for labels that are not asked or an item that is gone.
    """
    with database.writing() as session:
        row, item, study, settings = _held(session, rater_id, item_id)
        if row.state == State.SKIPPED:  # a click that was on its way when the item was skipped
            row.state = State.LEASED
            _take(session, item_id, 1)
        _save(row, item, settings, labels)
        session.flush()
        return _next(session, rater_id, study, settings) if go_on else None


def skip(database: RatingDatabase, rater_id: int, item_id: int) -> Task | None:
    """Leave an item to the others for good, and hand out the next one. Practice cannot be skipped."""
    with database.writing() as session:
        row, item, study, settings = _held(session, rater_id, item_id)
        if item.role != ItemRole.PRACTICE and row.state == State.LEASED:
            row.state, row.labels, row.done_at = State.SKIPPED, {}, now()
            _take(session, item_id, -1)
            session.flush()
        return _next(session, rater_id, study, settings)


def undo(database: RatingDatabase, rater_id: int, *, go_on: bool = True) -> Task | None:
    """Take back the last answer or skip and hand that item out again; the present task where there is none."""
    with database.writing() as session:
        study, settings = _study_of(session, rater_id)
        row = _last(session, rater_id)
        if row is not None:
            if row.state == State.SKIPPED:
                _take(session, row.item_id, 1)
            row.state, row.labels, row.done_at, row.seconds = State.LEASED, {}, None, None
            row.started_at, row.leased_until = now(), now() + timedelta(seconds=settings.lease_s)
            session.flush()
        return _next(session, rater_id, study, settings) if go_on else None


def progress(database: RatingDatabase, rater_id: int) -> Progress:
    """How far this rater is."""
    with database.reading() as session:
        study, _ = _study_of(session, rater_id)
        done = dict(
            session.execute(
                select(ItemRow.role, func.count())
                .join(AssignmentRow, AssignmentRow.item_id == ItemRow.id)
                .where(AssignmentRow.rater_id == rater_id, AssignmentRow.state == State.DONE)
                .group_by(ItemRow.role)
            ).all()
        )
        held = and_(_mine(rater_id, State.LEASED), ~_own_talk(rater_id))
        free = and_(ItemRow.taken < ItemRow.wanted, ~_touched(rater_id), ~_own_talk(rater_id))
        query = select(func.count()).where(ItemRow.study_id == study.id, ItemRow.role == ItemRole.ITEM, or_(held, free))
        practice = select(func.count()).where(ItemRow.study_id == study.id, ItemRow.role == ItemRole.PRACTICE)
        return Progress(
            done.get(ItemRole.ITEM, 0) + done.get(ItemRole.GOLD, 0),
            session.scalar(query) or 0,
            done.get(ItemRole.PRACTICE, 0),
            session.scalar(practice) or 0,
        )


def lease_to(session: Session, rater_id: int, item: ItemRow, settings: StudySettings) -> AssignmentRow:
    """Put an item into a rater's hands."""
    row = AssignmentRow(
        item_id=item.id, rater_id=rater_id, state=State.LEASED, labels={}, form=FORM, started_at=now(),
        flipped=bool(item.other_talk_id) and random.random() < 0.5,
        leased_until=now() + timedelta(seconds=settings.lease_s),
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _next(session: Session, rater_id: int, study: StudyRow, settings: StudySettings) -> Task | None:
    if study.closed:
        return None
    for find in (_practice, _in_hand, _gold, _free, _left_lying):
        found = find(session, rater_id, study, settings)
        if found is not None:
            return task_of(session, *found, settings)
    return None


Found = tuple[AssignmentRow, ItemRow]


def _practice(session: Session, rater_id: int, study: StudyRow, settings: StudySettings) -> Found | None:
    finished = _mine(rater_id, State.DONE)
    query = select(ItemRow).where(ItemRow.study_id == study.id, ItemRow.role == ItemRole.PRACTICE, ~finished)
    item = session.scalar(query.order_by(ItemRow.position).limit(1))
    if item is None:
        return None
    return _own(session, rater_id, item.id) or lease_to(session, rater_id, item, settings), item


def _in_hand(session: Session, rater_id: int, study: StudyRow, settings: StudySettings) -> Found | None:
    query = (
        select(AssignmentRow)
        .join(ItemRow)
        .where(AssignmentRow.rater_id == rater_id, AssignmentRow.state == State.LEASED, ItemRow.study_id == study.id)
        .where(~_own_talk(rater_id))  # replies of their own chat are labelled there
        .order_by(AssignmentRow.started_at.desc())
    )
    row = session.scalars(query.limit(1)).first()
    if row is None:
        return None
    row.leased_until = now() + timedelta(seconds=settings.lease_s)
    return row, session.get_one(ItemRow, row.item_id)


def _gold(session: Session, rater_id: int, study: StudyRow, settings: StudySettings) -> Found | None:
    """Every ``gold_every``-th item is one with a known answer, as long as there are some."""
    if settings.gold_every <= 0:
        return None
    query = select(ItemRow.role).join(AssignmentRow).where(AssignmentRow.rater_id == rater_id)
    roles = session.scalars(
        query.where(AssignmentRow.state == State.DONE, ItemRow.role != ItemRole.PRACTICE).order_by(
            AssignmentRow.done_at.desc()
        )
    ).all()
    since = roles.index(ItemRole.GOLD) if ItemRole.GOLD in roles else len(roles)
    if since < settings.gold_every - 1:
        return None
    item = session.scalar(
        _open_items(rater_id, study.id, ItemRole.GOLD).order_by((ItemRow.position * 31 + rater_id * 17) % 101).limit(1)
    )
    return None if item is None else (lease_to(session, rater_id, item, settings), item)


def _free(session: Session, rater_id: int, study: StudyRow, settings: StudySettings) -> Found | None:
    """A place on an item that wants more raters; items that were begun come first, so that majorities are early."""
    place = _open_items(rater_id, study.id, ItemRole.ITEM).where(ItemRow.taken < ItemRow.wanted)
    place = place.order_by(ItemRow.taken.desc(), ItemRow.position).limit(1)
    item = session.scalar(place.with_for_update(skip_locked=True))
    for _ in range(_PATIENCE):
        if item is not None or session.scalar(place) is None:
            break
        time.sleep(_PAUSE_S)  # the last places are locked by other people's clicks
        item = session.scalar(place.with_for_update(skip_locked=True))
    if item is None:
        return None
    _take(session, item.id, 1)
    return lease_to(session, rater_id, item, settings), item


def _left_lying(session: Session, rater_id: int, study: StudyRow, settings: StudySettings) -> Found | None:
    """When nothing is free: take back leases that ran out, and look again."""
    late = (
        select(AssignmentRow.id, AssignmentRow.item_id)
        .join(ItemRow)
        .where(ItemRow.study_id == study.id, ItemRow.role == ItemRole.ITEM)
        .where(AssignmentRow.state == State.LEASED, AssignmentRow.leased_until < now())
        .where(~exists().where(TalkRow.id == ItemRow.talk_id, TalkRow.chatter_id == AssignmentRow.rater_id))
        .limit(20)
        .with_for_update(skip_locked=True, of=AssignmentRow)
    )
    rows = session.execute(late).all()
    for assignment_id, item_id in rows:
        session.execute(delete(AssignmentRow).where(AssignmentRow.id == assignment_id))
        _take(session, item_id, -1)
    session.expire_all()
    return _free(session, rater_id, study, settings) if rows else None


def _open_items(rater_id: int, study_id: int, role: ItemRole) -> Select[ItemRow]:
    """Items that this rater has never held, in talks they had no part in."""
    mine = _touched(rater_id), _own_talk(rater_id)
    return select(ItemRow).where(ItemRow.study_id == study_id, ItemRow.role == role, ~mine[0], ~mine[1])


def _own_talk(rater_id: int) -> ColumnElement[bool]:
    return exists().where(TalkRow.id == ItemRow.talk_id, TalkRow.chatter_id == rater_id)


def _touched(rater_id: int) -> ColumnElement[bool]:
    return exists().where(AssignmentRow.item_id == ItemRow.id, AssignmentRow.rater_id == rater_id)


def _mine(rater_id: int, state: State) -> ColumnElement[bool]:
    return exists().where(
        AssignmentRow.item_id == ItemRow.id, AssignmentRow.rater_id == rater_id, AssignmentRow.state == state
    )


def _take(session: Session, item_id: int, change: int) -> None:
    session.execute(
        update(ItemRow)
        .where(ItemRow.id == item_id)
        .values(taken=ItemRow.taken + change)
        .execution_options(synchronize_session=False)
    )


def _own(session: Session, rater_id: int, item_id: int) -> AssignmentRow | None:
    query = select(AssignmentRow).where(AssignmentRow.item_id == item_id, AssignmentRow.rater_id == rater_id)
    return session.scalar(query.with_for_update())


def _last(session: Session, rater_id: int) -> AssignmentRow | None:
    query = select(AssignmentRow).where(AssignmentRow.rater_id == rater_id, AssignmentRow.done_at.is_not(None))
    return session.scalars(query.order_by(AssignmentRow.done_at.desc(), AssignmentRow.id.desc()).limit(1)).first()


def _study_of(session: Session, rater_id: int) -> tuple[StudyRow, StudySettings]:
    study = session.scalar(select(StudyRow).join(RaterRow).where(RaterRow.id == rater_id))
    if study is None:
        raise UserError("This link belongs to a study that has been deleted.")
    return study, StudySettings.from_json(study.settings)


def _held(session: Session, rater_id: int, item_id: int) -> tuple[AssignmentRow, ItemRow, StudyRow, StudySettings]:
    """The assignment behind a click. One whose lease was taken back is made again: no label is lost."""
    study, settings = _study_of(session, rater_id)
    item = session.get(ItemRow, item_id)
    if item is None or item.study_id != study.id:
        raise UserError("This item is no longer part of the study; go on with the next one.")
    row = _own(session, rater_id, item_id)
    if row is None:
        row = lease_to(session, rater_id, item, settings)
        _take(session, item_id, 1)
    return row, item, study, settings


def _save(row: AssignmentRow, item: ItemRow, settings: StudySettings, labels: Mapping[str, int]) -> None:
    """Merge labels into an assignment; it is done when no question is open."""
    allowed = {item.question} if item.question else set(still_open(settings.extras, {}))
    if set(labels) - allowed or any(value not in (0, 1) for value in labels.values()):
        raise UserError("This answer does not belong to the question that is asked.")
    given = {**row.labels, **labels}
    row.labels, row.form = {**given, **{k: v for k, v in implied(given).items() if k in allowed}}, FORM
    if open_questions(item, settings, row.labels):
        return
    if row.state != State.DONE:
        row.done_at = now()
        row.seconds = (row.done_at - row.started_at).total_seconds()
    row.state = State.DONE


def flipped(database: RatingDatabase, rater_id: int, item_id: int) -> bool:
    """Whether a rater sees the pair with its sides swapped."""
    with database.reading() as session:
        row = _own(session, rater_id, item_id)
        return bool(row and row.flipped)


def choose(database: RatingDatabase, rater_id: int, item_id: int, *, left: bool) -> Task | None:
    """Save a choice between the two sides as they were shown, and hand out the next pair."""
    with database.reading() as session:
        item = session.get(ItemRow, item_id)
    if item is None or not item.question:
        raise UserError("This pair is no longer part of the study; go on with the next one.")
    first_won = left != flipped(database, rater_id, item_id)
    return answer(database, rater_id, item_id, {item.question: int(first_won)})


def reclaimable(database: RatingDatabase, study_id: int, at: datetime | None = None) -> int:
    """How many leases of a study have run out."""
    query = (
        select(func.count())
        .select_from(AssignmentRow)
        .join(ItemRow)
        .where(ItemRow.study_id == study_id, ItemRow.role == ItemRole.ITEM)
        .where(AssignmentRow.state == State.LEASED, AssignmentRow.leased_until < (at or now()))
    )
    with database.reading() as session:
        return session.scalar(query) or 0
