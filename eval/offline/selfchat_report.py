"""Loop and contradiction statistics of self-chats, with intervals over talks: ``selfchat.html``, ``.md``, ``.json``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.persona_cards import load_persona
from eval.offline.bootstrap import estimate, paired
from eval.offline.metrics import shape, talks, variety
from eval.offline.metrics.table import mean
from eval.offline.provenance import provenance
from eval.offline.results import SCHEMA
from eval.offline.selfchat import Side, sides_of
from eval.report import Block, Heading, Table, Talk, Text, number, with_interval, write_report

Turns = Sequence[str]
OfTalk = Callable[[Turns, Turns, Turns], float]
"""(all turns, the speaker's own turns, the speaker's facts) -> a value."""
STATISTICS: dict[str, tuple[str, OfTalk]] = {
    "looping_talks": ("talks that run in a circle", lambda every, own, facts: float(talks.loops(every))),
    "repeated_turns": ("turns said before, word for word", lambda every, own, facts: talks.repeated_turns(own)),
    "overlap_with_earlier": (
        "share of a turn that an earlier turn had, in order",
        lambda every, own, facts: _mean([talks.overlap_with_earlier([t], own[:i]) for i, t in enumerate(own) if i]),
    ),
    "contradictions": (
        "turns that deny the persona or an own earlier turn, by rules: a lower bound",
        lambda every, own, facts: talks.own_contradictions(own, facts),
    ),
    "question_rate": ("turns that ask something", lambda every, own, facts: _mean([float(shape.asks(t)) for t in own])),
    "length_words": ("words of a turn", lambda every, own, facts: _mean([float(shape.length(t)) for t in own])),
    "distinct_2": ("different word pairs within a talk", lambda every, own, facts: variety.distinct(own, 2)),
}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def selfchat_report(
    rows: Sequence[Mapping[str, Any]], sides: tuple[Side, Side], out: Path, *, resamples: int = 1000, seed: int = 0
) -> dict[str, Any]:
    """Count, compare the sides over the same talks, write; the data of ``selfchat.json``."""
    found: dict[str, Any] = {}
    for name, (what, function) in STATISTICS.items():
        both = [
            _values(rows, speaker, side, function) for (speaker, _), side in zip(sides_of(rows), sides, strict=True)
        ]
        groups = [str(row["id"]) for row in rows]
        found[name] = {
            "what": what,
            "sides": [estimate(values, groups, mean, times=resamples, seed=seed).as_dict() for values in both],
            "difference": paired(both[0], both[1], groups, mean, times=resamples, seed=seed).as_dict(),
        }
    data: dict[str, Any] = {
        "schema": SCHEMA, "kind": "selfchat", "systems": [system for _, system in sides_of(rows)], "talks": len(rows),
        "turns": len(rows[0]["turns"]), "statistics": found, "provenance": provenance(),
    }  # fmt: skip
    write_report(out, "selfchat", f"{data['systems'][0]} talks with {data['systems'][1]}", data, _blocks(data, rows))
    return data


def _values(rows: Sequence[Mapping[str, Any]], speaker: str, side: Side, function: OfTalk) -> Any:
    facts = load_persona(side.persona).facts
    values: list[tuple[float, float]] = []
    for row in rows:
        every = [turn["text"] for turn in row["turns"]]
        own = [turn["text"] for place, turn in enumerate(row["turns"]) if turn["speaker"] == speaker and place]
        value = function(every, own, facts)
        values.append((value if value == value else 0.0, 1.0))
    return np.array(values, dtype=float)


def _blocks(data: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    table = []
    for name, found in data["statistics"].items():
        d = found["difference"]
        gap = f"{number(d['value'])} [{number(d['low'])}, {number(d['high'])}]"
        table.append([name, with_interval(found["sides"][0]), with_interval(found["sides"][1]), gap, found["what"]])
    shown = [Talk(str(row["id"]), [(turn["speaker"], turn["text"]) for turn in row["turns"]]) for row in rows[:4]]
    return [
        Text(
            f"{data['talks']} talks of {data['turns']} turns, each begun by a person's line that counts for neither. "
            "Intervals: bootstrap over talks. talks.jsonl can be imported by the rating console."
        ),
        Table(["statistic", f"A: {data['systems'][0]}", f"B: {data['systems'][1]}", "B minus A [95%]", "what"], table),
        Heading("The first talks"), *shown,
    ]  # fmt: skip
