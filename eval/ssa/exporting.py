"""A study out as JSON Lines or CSV, both of which transcripts.py reads again. Raters leave as pseudonyms."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from eval.ssa.database import RatingDatabase
from eval.ssa.studies import Study, study
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, RaterRow, State, TalkRow

_COLUMNS = (
    "study", "system", "conversation", "language", "turn", "context", "speaker", "reply", "rater", "rater_kind",
    "form", "seconds", "given_at",
)  # fmt: skip


def export_jsonl(database: RatingDatabase, study_id: int) -> str:
    """One line on the study, then one per talk with its votes, then one per choice of a pairwise study."""
    own = study(database, study_id)
    with database.reading() as session:
        head = {"study": own.name, "kind": own.kind, "settings": own.settings.to_json()}
        lines = [head, *_talks(session, own), *_choices(session, own)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def export_csv(database: RatingDatabase, study_id: int) -> str:
    """One row a vote; a reply without votes has one row without labels."""
    own = study(database, study_id)
    with database.reading() as session:
        rows = list(_rows(session, own))
    labels = sorted({key for row in rows for key in row if key.startswith("label_")})
    out = io.StringIO()
    writer = csv.DictWriter(out, [*_COLUMNS, *labels], restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _talks(session: Session, own: Study) -> Iterator[dict[str, Any]]:
    query = select(TalkRow).where(TalkRow.study_id == own.id, TalkRow.system != "(practice)").order_by(TalkRow.id)
    votes = _votes(session, own.id)
    for talk in session.scalars(query):
        items = session.scalars(select(ItemRow).where(ItemRow.talk_id == talk.id, ItemRow.turn >= 0)).all()
        yield {
            "id": talk.source, "system": talk.system, "language": talk.language, "turns": talk.turns,
            "bot": talk.facts.get("bot"), "facts": talk.facts, "rated": sorted(item.turn for item in items),
            "gold": {str(item.turn): item.expected for item in items if item.role == ItemRole.GOLD},
            "votes": [{"turn": item.turn, **vote} for item in items for vote in votes.get(item.id, ())],
        }  # fmt: skip


def _votes(session: Session, study_id: int) -> dict[int, list[dict[str, Any]]]:
    """The votes of each item, under the raters' pseudonyms."""
    query = (
        select(AssignmentRow, RaterRow.kind)
        .join(ItemRow)
        .join(RaterRow, RaterRow.id == AssignmentRow.rater_id)
        .where(ItemRow.study_id == study_id, AssignmentRow.state == State.DONE)
        .order_by(AssignmentRow.id)
    )
    found: dict[int, list[dict[str, Any]]] = {}
    for row, kind in session.execute(query):
        vote = {
            "rater": f"rater-{row.rater_id}", "kind": kind, "labels": row.labels, "form": row.form,
            "seconds": row.seconds, "given_at": row.done_at.isoformat() if row.done_at else "",
        }  # fmt: skip
        found.setdefault(row.item_id, []).append(vote)
    return found


def _choices(session: Session, own: Study) -> Iterator[dict[str, Any]]:
    first, second = TalkRow.__table__.alias("a"), TalkRow.__table__.alias("b")
    query = (
        select(ItemRow.id, ItemRow.question, first.c.system, first.c.source, second.c.system, second.c.source)
        .join(first, first.c.id == ItemRow.talk_id)
        .join(second, second.c.id == ItemRow.other_talk_id)
        .where(ItemRow.study_id == own.id)
        .order_by(ItemRow.id)
    )
    votes = _votes(session, own.id)
    for item_id, question, a, a_source, b, b_source in session.execute(query):
        pair = {"first": [a, a_source], "second": [b, b_source], "question": question}
        yield {"pair": pair, "votes": votes.get(item_id, [])}


def _rows(session: Session, own: Study) -> Iterator[dict[str, Any]]:
    for talk in _talks(session, own):
        by_turn: dict[int, list[dict[str, Any]]] = {turn: [] for turn in talk["rated"]}
        for vote in talk["votes"]:
            by_turn[vote["turn"]].append(vote)
        for turn, votes in by_turn.items():
            if str(turn) in talk["gold"]:
                continue
            said = talk["turns"][turn]
            row = {
                "study": own.name, "system": talk["system"], "conversation": talk["id"],
                "language": talk["language"], "turn": turn, "speaker": said["speaker"], "reply": said["text"],
                "context": json.dumps(talk["turns"][:turn], ensure_ascii=False),
            }  # fmt: skip
            for vote in votes or [{}]:
                yield {**row, **_columns(vote)}


def _columns(vote: dict[str, Any]) -> dict[str, Any]:
    labels = {f"label_{key}": value for key, value in vote.get("labels", {}).items()}
    return {
        "rater": vote.get("rater", ""), "rater_kind": vote.get("kind", ""), "form": vote.get("form", ""),
        "seconds": vote.get("seconds") or "", "given_at": vote.get("given_at", ""), **labels,
    }  # fmt: skip
