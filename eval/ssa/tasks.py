"""What a rater sees of an item: lines and open questions, and nothing that tells the system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from eval.ssa.protocol import still_open
from eval.ssa.studies import StudySettings
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, TalkRow


@dataclass(frozen=True, slots=True)
class Line:
    """One turn as a rater sees it; ``rated`` marks the words, or in a pair the speaker, that the question is about."""

    speaker: str
    text: str
    rated: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One item in a rater's hands. ``open`` are the labels still to be given; pairs have a ``right`` side too."""

    item_id: int
    lines: tuple[Line, ...]
    open: tuple[str, ...]
    given: Mapping[str, int]
    role: ItemRole
    language: str
    right: tuple[Line, ...] = ()
    question: str = ""
    expected: Mapping[str, int] | None = None
    remark: str = ""


def open_questions(item: ItemRow, settings: StudySettings, given: Mapping[str, int]) -> tuple[str, ...]:
    """The labels that are still to be given about an item; practice asks the two questions of SSA only."""
    if item.question:
        return () if item.question in given else (item.question,)
    extras = () if item.role == ItemRole.PRACTICE else settings.extras
    return still_open(extras, given)


def task_of(session: Session, row: AssignmentRow, item: ItemRow, settings: StudySettings) -> Task:
    """The item as its rater sees it."""
    talk = session.get_one(TalkRow, item.talk_id)
    role, given = ItemRole(item.role), dict(row.labels)
    if item.question:
        sides = [_whole(talk), _whole(session.get_one(TalkRow, item.other_talk_id))]
        left, right = sides[::-1] if row.flipped else sides
        return Task(item.id, left, (item.question,), given, role, talk.language, right, item.question)
    practice = role is ItemRole.PRACTICE
    return Task(
        item.id, lines_until(talk, item.turn), open_questions(item, settings, given), given, role, talk.language,
        expected=dict(item.expected) if practice else None,
        remark=next(iter(item.remark.values()), "") if practice else "",
    )  # fmt: skip


def lines_until(talk: TalkRow, turn: int) -> tuple[Line, ...]:
    """The context and the rated turn; speakers become "A" and "B", since their names can give a system away."""
    rated = talk.turns[turn]["speaker"]
    names = _neutral(talk, rated)
    return tuple(Line(names[t["speaker"]], t["text"], rated=i == turn) for i, t in enumerate(talk.turns[: turn + 1]))


def _whole(talk: TalkRow) -> tuple[Line, ...]:
    rated = str(talk.facts.get("bot") or talk.turns[-1]["speaker"])
    names = _neutral(talk, rated)
    return tuple(Line(names[t["speaker"]], t["text"], rated=t["speaker"] == rated) for t in talk.turns)


def _neutral(talk: TalkRow, rated: str) -> dict[str, str]:
    """The rated speaker is "B", the others "A", "C", "D" … by first appearance."""
    others = list(dict.fromkeys(t["speaker"] for t in talk.turns if t["speaker"] != rated))
    letters = ["A", *(chr(ord("C") + i) for i in range(len(others)))]
    return {rated: "B", **dict(zip(others, letters, strict=False))}
