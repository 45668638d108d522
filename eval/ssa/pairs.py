"""Pairs of whole talks for a pairwise study: systems meet each other equally often, in talks drawn at random."""

from __future__ import annotations

import itertools
import random

from sqlalchemy import select

from dialogue.errors import UserError
from eval.ssa.database import RatingDatabase
from eval.ssa.studies import study
from eval.ssa.tables import ItemRole, ItemRow, TalkRow


def make_pairs(database: RatingDatabase, study_id: int, per_meeting: int, *, seed: int | None = None) -> int:
    """Add up to ``per_meeting`` pairs for every two systems and question; how many were added.

    A talk is used as evenly as the numbers allow. Making pairs again adds only new ones. UserError with one system.
    """
    settings = study(database, study_id).settings
    draw = random.Random(seed)
    with database.writing() as session:
        by_system: dict[str, list[int]] = {}
        for talk in session.scalars(select(TalkRow).where(TalkRow.study_id == study_id)):
            by_system.setdefault(talk.system, []).append(talk.id)
        if len(by_system) < 2:
            raise UserError("Pairs need talks of at least two systems; import more talks first.")
        query = select(ItemRow.talk_id, ItemRow.other_talk_id, ItemRow.question).where(ItemRow.study_id == study_id)
        known = {tuple(row) for row in session.execute(query)}
        found = []
        for question, (a, b) in itertools.product(settings.questions, itertools.combinations(sorted(by_system), 2)):
            fresh = [p for p in _matches(by_system[a], by_system[b], draw) if (*p, question) not in known]
            found += [(*pair, question) for pair in fresh[:per_meeting]]
        session.add_all(
            ItemRow(
                study_id=study_id, talk_id=a, turn=-1, other_talk_id=b, question=question, role=ItemRole.ITEM,
                expected={}, position=draw.getrandbits(31), wanted=settings.raters_per_item, taken=0,
            )
            for a, b, question in found
        )  # fmt: skip
        return len(found)


def _matches(first: list[int], second: list[int], draw: random.Random) -> list[tuple[int, int]]:
    """All pairs, ordered so that every talk comes up once before any comes up twice."""
    a, b = draw.sample(first, len(first)), draw.sample(second, len(second))
    longest = max(len(a), len(b))
    rounds = [(a[i % len(a)], b[(i + shift) % len(b)]) for shift in range(min(len(a), len(b))) for i in range(longest)]
    return list(dict.fromkeys(rounds))
