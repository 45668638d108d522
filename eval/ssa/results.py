"""What a study found so far: one reading of the database, then plain values. Gold and practice never count."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from eval.ssa import sequential
from eval.ssa.agreement import Agreement, agreement
from eval.ssa.database import RatingDatabase
from eval.ssa.pairwise import Choice
from eval.ssa.protocol import Kind, SystemFacts, departures, title
from eval.ssa.questions import QUESTIONS, SENSIBLE, SPECIFIC
from eval.ssa.statistics import Difference, Estimate, clustered_mean, compare, intraclass_correlation
from eval.ssa.studies import Study, study
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, RaterRow, State, TalkRow
from eval.ssa.votes import RatedReply, Vote, raw_rate, score, settled


@dataclass(frozen=True, slots=True)
class SystemResult:
    """One system: its SSA with both parts, the study's other labels, and how it departs from the protocol.

    ``ssa`` is None where no vote has its labels; ``raw``: mean of all votes on a label, without majority or rule.
    """

    system: str
    ssa: Estimate | None
    parts: Mapping[str, Estimate]
    others: Mapping[str, Estimate]
    raw: Mapping[str, float]
    votes: int
    icc: float
    departures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gap:
    """Two systems side by side: as if looked at once, and under the rule that allows to look often."""

    first: str
    second: str
    once: Difference
    look: sequential.Look


@dataclass(frozen=True, slots=True)
class Results:
    """Everything the owner sees. ``name`` is "SSA" only where every system kept the protocol."""

    study: Study
    name: str
    systems: tuple[SystemResult, ...]
    gaps: tuple[Gap, ...]
    agreements: Mapping[tuple[str, str], Agreement]
    replies: tuple[RatedReply, ...]
    facts: tuple[SystemFacts, ...]


def results(database: RatingDatabase, study_id: int, *, draws: int = 500) -> Results:
    """The results of a static or interactive study; ``agreements`` by label and language."""
    own = study(database, study_id)
    with database.reading() as session:
        replies = rated_replies(session, own)
        facts = _facts(session, own, replies)
    by_system = _by_system(replies)
    systems = tuple(_system(name, group, facts[name]) for name, group in sorted(by_system.items()))
    shown = tuple(facts[name] for name in sorted(by_system))
    return Results(
        own,
        title(shown) if shown else "SSA-like",
        systems,
        tuple(_gaps(by_system, own)),
        _agreements(replies, draws),
        tuple(replies),
        shown,
    )


def rated_replies(session: Session, own: Study, role: ItemRole = ItemRole.ITEM) -> list[RatedReply]:
    """Every reply with at least one vote, and its votes in the order they were given."""
    query = (
        select(
            ItemRow.id, ItemRow.turn, ItemRow.expected, TalkRow.system, TalkRow.source, TalkRow.language,
            AssignmentRow.labels, AssignmentRow.seconds, AssignmentRow.done_at, RaterRow.name,
        )
        .join(TalkRow, TalkRow.id == ItemRow.talk_id)
        .join(AssignmentRow, and_(AssignmentRow.item_id == ItemRow.id, AssignmentRow.state == State.DONE))
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .where(ItemRow.study_id == own.id, ItemRow.role == role, ItemRow.turn >= 0)
        .order_by(ItemRow.id, AssignmentRow.done_at)
    )  # fmt: skip
    found = []
    for _, rows in itertools.groupby(session.execute(query), key=lambda row: row.id):
        group = list(rows)
        first = group[0]
        votes = tuple(Vote(row.name, row.labels, row.seconds, row.done_at) for row in group)
        cluster = cluster_of(own.kind, first.system, first.source)
        found.append(
            RatedReply(first.system, cluster, f"{first.source}#{first.turn}", votes, first.language, first.expected)
        )
    return found


def cluster_of(kind: Kind, system: str, source: str) -> str:
    """What hangs together: a conversation; in a static study a context, also when several systems answered it."""
    return source if kind is Kind.STATIC else f"{system}\x1f{source}"


def choices(database: RatingDatabase, study_id: int, question: str) -> list[Choice]:
    """Every choice that was made in a pairwise study."""
    first, second = TalkRow.__table__.alias("a"), TalkRow.__table__.alias("b")
    query = (
        select(ItemRow.id, first.c.system, second.c.system, AssignmentRow.labels, RaterRow.name)
        .join(first, first.c.id == ItemRow.talk_id)
        .join(second, second.c.id == ItemRow.other_talk_id)
        .join(AssignmentRow, and_(AssignmentRow.item_id == ItemRow.id, AssignmentRow.state == State.DONE))
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .where(ItemRow.study_id == study_id, ItemRow.question == question, ItemRow.role == ItemRole.ITEM)
    )
    with database.reading() as session:
        return [Choice(a, b, bool(labels[question]), str(i), name) for i, a, b, labels, name in session.execute(query)]


def over_time(replies: Iterable[RatedReply], *, points: int = 60) -> dict[str, list[tuple[str, float, int]]]:
    """By system: (moment, SSA of all replies rated up to then, their number). A reply's moment is its last vote's."""
    found: dict[str, list[tuple[str, float, int]]] = {}
    for system, group in _by_system(replies).items():
        series: list[tuple[str, float, int]] = []
        total = 0.0
        for moment, reply in sorted(_dated(group), key=lambda pair: pair[0]):
            if (value := score(reply)) is not None:
                total += value
                series.append((moment.isoformat(), total / (len(series) + 1), len(series) + 1))
        step = max(1, len(series) // points)
        if series:
            found[system] = [*series[:-1:step], series[-1]]
    return found


def _dated(replies: Iterable[RatedReply]) -> list[tuple[datetime, RatedReply]]:
    moments = [([vote.given_at for vote in reply.votes if vote.given_at], reply) for reply in replies]
    return [(max(given), reply) for given, reply in moments if given]


def _by_system(replies: Iterable[RatedReply]) -> dict[str, list[RatedReply]]:
    groups: dict[str, list[RatedReply]] = {}
    for reply in replies:
        groups.setdefault(reply.system, []).append(reply)
    return groups


def _scores(replies: Sequence[RatedReply]) -> tuple[list[float], list[str]]:
    pairs = [(value, reply.cluster) for reply in replies if (value := score(reply)) is not None]
    return [value for value, _ in pairs], [cluster for _, cluster in pairs]


def _rate(replies: Sequence[RatedReply], label: str) -> Estimate | None:
    pairs = [(float(value), reply.cluster) for reply in replies if (value := settled(reply, label)) is not None]
    return clustered_mean([v for v, _ in pairs], [c for _, c in pairs]) if pairs else None


def _system(name: str, replies: Sequence[RatedReply], facts: SystemFacts) -> SystemResult:
    values, clusters = _scores(replies)
    rates = {label: rate for label in QUESTIONS if (rate := _rate(replies, label)) is not None}
    return SystemResult(
        name,
        clustered_mean(values, clusters) if values else None,
        {label: rates[label] for label in (SENSIBLE, SPECIFIC) if label in rates},
        {label: rate for label, rate in rates.items() if label not in (SENSIBLE, SPECIFIC)},
        {label: mean for label in labels_in(replies) if (mean := raw_rate(replies, label)) is not None},
        sum(len(reply.votes) for reply in replies),
        intraclass_correlation(values, clusters),
        departures(facts),
    )


def labels_in(replies: Iterable[RatedReply]) -> list[str]:
    """The labels that occur, the protocol's own first."""
    found = {label for reply in replies for vote in reply.votes for label in vote.labels}
    return [label for label in QUESTIONS if label in found] + sorted(found - set(QUESTIONS))


def _gaps(by_system: Mapping[str, Sequence[RatedReply]], own: Study) -> Iterable[Gap]:
    for first, second in itertools.combinations(sorted(by_system), 2):
        a, b = _scores(by_system[first]), _scores(by_system[second])
        if not a[0] or not b[0]:
            continue
        seen = sequential.look(*a, *b, planned=2 * own.settings.planned, margin=own.settings.margin)
        yield Gap(first, second, compare(*a, *b), seen)


def _agreements(replies: Sequence[RatedReply], draws: int) -> dict[tuple[str, str], Agreement]:
    found = {}
    for label in labels_in(replies):
        for language in sorted({reply.language for reply in replies}):
            group = [reply for reply in replies if reply.language == language]
            level = "nominal" if label in QUESTIONS else "ordinal"
            found[label, language] = agreement(group, label, level=level, draws=draws)  # type: ignore[arg-type]
    return found


def _facts(session: Session, own: Study, replies: Sequence[RatedReply]) -> dict[str, SystemFacts]:
    """What was in fact done, for the list of departures."""
    rated = {(reply.system, reply.reply): reply for reply in replies}
    found: dict[str, SystemFacts] = {}
    query = select(TalkRow).where(TalkRow.study_id == own.id, TalkRow.system != "(practice)")
    items = _items(session, own.id)
    names = {reply.system for reply in replies}
    for system, talks in itertools.groupby(
        session.scalars(query.order_by(TalkRow.system, TalkRow.id)), key=lambda talk: talk.system
    ):
        group = list(talks)
        if system in names:
            found[system] = _facts_of(system, group, items, own, rated)
    return _with_assignments(session, own, found)


def _items(session: Session, study_id: int) -> dict[int, list[int]]:
    """The rated turns of each talk."""
    items: dict[int, list[int]] = {}
    query = select(ItemRow.talk_id, ItemRow.turn).where(ItemRow.study_id == study_id, ItemRow.role == ItemRole.ITEM)
    for talk_id, turn in session.execute(query):
        items.setdefault(talk_id, []).append(turn)
    return items


def _facts_of(
    system: str,
    talks: Sequence[TalkRow],
    items: Mapping[int, list[int]],
    own: Study,
    rated: Mapping[tuple[str, str], RatedReply],
) -> SystemFacts:
    turns_rated = [(talk, turn) for talk in talks for turn in items.get(talk.id, ())]
    with_votes = [(t, n, r) for t, n in turns_rated if (r := rated.get((system, f"{t.source}#{n}"))) is not None]
    used = {talk.id: talk for talk, _, _ in with_votes}
    return SystemFacts(
        system,
        own.kind,
        [len(reply.votes) for _, _, reply in with_votes],
        len(used),
        context_turns=[turn for _, turn, _ in with_votes],
        turns=[len(talk.turns) for talk in used.values()],
        openings=[talk.turns[0]["text"] for talk in used.values()],
        decodings=frozenset(str(d) for talk in used.values() for d in talk.facts.get("decodings", ())),
        safety_off=sum(talk.facts.get("safety") is False for talk, _, _ in with_votes),
        blinded=own.settings.blinded,
        planned_replies=len(turns_rated),
        specific_without_sense=sum(
            vote.labels.get(SENSIBLE) == 0 and vote.labels.get(SPECIFIC) == 1
            for _, _, reply in with_votes
            for vote in reply.votes
        ),
    )


def _with_assignments(session: Session, own: Study, found: dict[str, SystemFacts]) -> dict[str, SystemFacts]:
    """Add what only the assignments know: forms, kinds of raters, skips, who rated their own talk."""
    query = (
        select(
            TalkRow.system, TalkRow.chatter_id, AssignmentRow.state, AssignmentRow.form, AssignmentRow.rater_id,
            RaterRow.kind,
        )
        .join(ItemRow, ItemRow.talk_id == TalkRow.id)
        .join(AssignmentRow, AssignmentRow.item_id == ItemRow.id)
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .where(ItemRow.study_id == own.id, ItemRow.role == ItemRole.ITEM, AssignmentRow.state != State.LEASED)
    )  # fmt: skip
    rows = session.execute(query).all()
    for system, facts in found.items():
        mine = [row for row in rows if row.system == system]
        done = [row for row in mine if row.state == State.DONE]
        found[system] = replace(
            facts,
            forms=frozenset(row.form for row in done),
            rater_kinds=frozenset(row.kind for row in done if row.kind != "imported") or frozenset({"person"}),
            imported_labels=sum(row.kind == "imported" for row in done),
            skipped=sum(row.state == State.SKIPPED for row in mine),
            rated_by_their_chatter=sum(row.chatter_id == row.rater_id for row in done),
        )
    return found
