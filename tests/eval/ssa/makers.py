"""Ready-made studies and talks for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from eval.ssa.database import RatingDatabase, open_ratings
from eval.ssa.importing import import_talks
from eval.ssa.protocol import Kind
from eval.ssa.studies import Study, StudySettings, create_study
from eval.ssa.transcripts import Talk

PLAIN = StudySettings(practice=False, gold_every=0, raters_per_item=1)


def talk(number: int, system: str = "Alpha", replies: int = 2, **changes: object) -> Talk:
    turns = tuple(
        {"speaker": who, "text": f"{who} says {i} in {number}"} for i in range(replies) for who in ("Person", system)
    )
    made = Talk(system, f"{system}-{number}", turns, tuple(range(1, 2 * replies, 2)), facts={"bot": system})
    return replace(made, **changes)  # type: ignore[arg-type]


def study_with(
    database: RatingDatabase,
    talks: list[Talk],
    settings: StudySettings = PLAIN,
    *,
    name: str = "study",
    kind: Kind = Kind.STATIC,
) -> Study:
    made = create_study(database, name, kind, settings)
    import_talks(database, made.id, talks)
    return made


@contextmanager
def opened(url: str) -> Iterator[RatingDatabase]:
    database = open_ratings(url)
    try:
        yield database
    finally:
        database.close()
