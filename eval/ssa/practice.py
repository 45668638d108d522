"""The five practice items that a rater sees first, with feedback. Our own sentences, in practice.toml."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from dialogue.turns import now
from eval.ssa.questions import SENSIBLE, SPECIFIC
from eval.ssa.tables import ItemRole, ItemRow, TalkRow

_NO_LIMIT = 1_000_000


@cache
def practice_items(language: str) -> tuple[dict[str, Any], ...]:
    """The items of a language; English where there are none."""
    with Path(__file__).with_name("practice.toml").open("rb") as file:
        found = tomllib.load(file)
    return tuple(found.get(language, found["en"]))


def add_practice(session: Session, study_id: int, language: str) -> None:
    """Put the practice items of a language into a study, in their order."""
    for position, item in enumerate(practice_items(language)):
        last = len(item["turns"]) - 1
        turns = [{"speaker": "BA"[(last - i) % 2], "text": text} for i, text in enumerate(item["turns"])]
        source = f"practice-{language}-{position + 1}"
        talk = TalkRow(
            study_id=study_id, system="(practice)", source=source, language=language, turns=turns, facts={},
            created_at=now(),
        )  # fmt: skip
        session.add(talk)
        session.flush()
        row = ItemRow(
            study_id=study_id, talk_id=talk.id, turn=last, role=ItemRole.PRACTICE,
            expected={SENSIBLE: item["sensible"], SPECIFIC: item["specific"]}, remark={language: item["because"]},
            position=position, wanted=_NO_LIMIT,
        )  # fmt: skip
        session.add(row)
