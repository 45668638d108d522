"""What people thought of replies and of whole talks: six data sets in their own forms, as one kind of value.

A file is recognised by its fields. ``labels`` are means over raters on the set's own scale; which of them a set's
correlations are summed up by is ``main``. No path is built in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.errors import UserError
from eval.offline.corpora import talk_turns, texts
from eval.offline.jsonl import numbered_rows

MOST_CONTEXT_TURNS = 12


@dataclass(frozen=True, slots=True)
class Exchange:
    """A context and the reply to it."""

    context: tuple[str, ...]
    reply: str


@dataclass(frozen=True, slots=True)
class Rated:
    """One reply (``level`` "reply", one exchange) or one talk ("talk", every reply of the system) with its labels.

    ``group`` names what is not independent: the context or the talk. ``spread`` is the standard deviation between
    raters of the main label, nan where only a mean is known.
    """

    id: str
    dataset: str
    level: str
    system: str
    group: str
    exchanges: tuple[Exchange, ...]
    labels: Mapping[str, float]
    main: str
    references: tuple[str, ...] = ()
    language: str = "en"


def read_ratings(path: Path) -> list[Rated]:
    """The rated replies or talks of a file. Raises UserError with file and row for a row of no known form.

    Rows that carry no label (a talk nobody rated) are left out; a row whose id was seen is taken once.
    """
    found: dict[tuple[str, str], Rated] = {}
    if (path.name).startswith("ko_hulic"):
        return list(_hulic(path))
    for number, row in numbered_rows(path):
        where = f"{path}, row {number}"
        rated = _rated(row, where)
        if rated is not None and rated.labels:
            found.setdefault((rated.system, rated.id), rated)
    if not found:
        raise UserError(f"{path} holds no human ratings; see docs/evaluation.md for the forms that are read.")
    return list(found.values())


def _rated(row: Mapping[str, Any], where: str) -> Rated | None:
    match row:
        case {"annotations": dict(), "turns": list(), "level": "turn", "response": str()}:
            return _fed_reply(row, where)
        case {"annotations": dict(), "turns": list(), "level": "dialogue"}:
            return _fed_talk(row, where)
        case {"coherence_scores_1_to_5": list(), "context": list(), "response": str()}:
            return _grade(row, where)
        case {"rating_mean_1_to_5": float() | int(), "context": list(), "response": str()}:
            return _multiref(row, where)
        case {"overall_mean_1_to_5": float() | int(), "turns": list()}:
            return _dstc9(row, where)
        case {"turns": list(), "bot_profile": list()}:
            return _convai(row, where)
    raise UserError(f"{where}: no known form of human ratings; see docs/evaluation.md.")


def mean_label(values: object, where: str) -> float | None:
    """The mean over raters; ratings that are no numbers ("N/A") do not count; None when none is left."""
    if not isinstance(values, list):
        raise UserError(f"{where}: ratings must be a list, one for each rater.")
    known = [float(value) for value in values if isinstance(value, int | float)]
    return sum(known) / len(known) if known else None


def _annotations(row: Mapping[str, Any], where: str) -> dict[str, float]:
    means = {name: mean_label(values, where) for name, values in row["annotations"].items()}
    return {name: value for name, value in means.items() if value is not None}


def _fed_reply(row: Mapping[str, Any], where: str) -> Rated:
    context = [text for _, text in talk_turns(row, where)]
    labels = _annotations(row, where)
    if {"Semantically appropriate", "Relevant", "Specific"} <= labels.keys():
        sensible = (labels["Semantically appropriate"] + labels["Relevant"]) / 4
        labels["SSA"] = (sensible + labels["Specific"] / 2) / 2
    exchange = Exchange(tuple(context[-MOST_CONTEXT_TURNS:]), row["response"])
    talk = _opening(row["system"], context)  # several replies of one talk are rated: they are not independent
    return Rated(str(row["id"]), "fed_reply", "reply", str(row["system"]), talk, (exchange,), labels, "Overall")


def _opening(system: object, texts_said: Sequence[str]) -> str:
    """A talk's name where the data has none: its system and first two turns."""
    return " / ".join((str(system), *texts_said[:2]))


def _fed_talk(row: Mapping[str, Any], where: str) -> Rated:
    turns = talk_turns(row, where)
    system = "system" if any(who == "system" for who, _ in turns) else turns[1][0]
    exchanges = exchanges_of(turns, {system})
    labels = _annotations(row, where)
    return Rated(str(row["id"]), "fed_talk", "talk", str(row["system"]), str(row["id"]), exchanges, labels, "Overall")


def exchanges_of(turns: Sequence[tuple[str, str]], speakers: set[str]) -> tuple[Exchange, ...]:
    """Every reply of the given speakers with the turns before it."""
    return tuple(
        Exchange(tuple(text for _, text in turns[max(place - MOST_CONTEXT_TURNS, 0) : place]), text)
        for place, (who, text) in enumerate(turns)
        if place and who in speakers
    )


def _grade(row: Mapping[str, Any], where: str) -> Rated:
    context = texts(row, "context", where)
    coherence = mean_label(row["coherence_scores_1_to_5"], where)
    labels = {} if coherence is None else {"Coherence": coherence}
    name, group = f"{row['dataset']}/{row['id']}", " / ".join((str(row["dataset"]), *context))
    exchange = Exchange(tuple(context), row["response"])
    return Rated(name, "grade", "reply", str(row["model"]), group, (exchange,), labels, "Coherence")


def _multiref(row: Mapping[str, Any], where: str) -> Rated:
    context, references = texts(row, "context", where), texts(row, "references", where)
    exchange = Exchange(tuple(context[-MOST_CONTEXT_TURNS:]), row["response"])
    labels = {"Overall": float(row["rating_mean_1_to_5"])}
    name = str(row["id"])
    return Rated(
        name, "dailydialog_ratings", "reply", str(row["model"]), name, (exchange,), labels, "Overall", tuple(references)
    )


def _dstc9(row: Mapping[str, Any], where: str) -> Rated:
    turns = [("AB"[place % 2], text) for place, text in enumerate(row["turns"]) if isinstance(text, str)]
    labels = {"Overall": float(row["overall_mean_1_to_5"])}
    return Rated(str(row["id"]), "dstc9", "talk", "", str(row["id"]), exchanges_of(turns, {"B"}), labels, "Overall")


def _convai(row: Mapping[str, Any], where: str) -> Rated | None:
    turns = [(str(turn["speaker"]), str(turn["text"])) for turn in row["turns"]]
    score = row.get("score_1_to_5")
    labels = {"Score": float(score)} if isinstance(score, int | float) else {}
    name, exchanges = str(row["id"]), exchanges_of(turns, {"Bot"})
    return (
        Rated(name, "convai2018", "talk", str(row["system"]), name, exchanges, labels, "Score") if exchanges else None
    )


def _hulic(path: Path) -> Iterator[Rated]:
    """Rows are in the order of the talk; a reply's context is the question and the two exchanges before it.

    Talks between people were rated by others than talks with bots: their labels are a set of their own.
    """
    before: list[str] = []
    at: tuple[str, int] | None = None
    for number, row in numbered_rows(path):
        where = f"{path}, row {number}"
        match row:
            case {"system": str(system), "conversation": int(talk), "question": str(asked), "answer": str(said)}:
                pass
            case _:
                raise UserError(f"{where}: no HuLiC row; it needs system, conversation, question and answer.")
        before = before if at == (system, talk) else []
        at = (system, talk)
        means = {name: mean_label(row.get(name, []), where) for name in ("sensible", "specific", "humanlike")}
        labels = {name: value for name, value in means.items() if value is not None}
        if {"sensible", "specific"} <= labels.keys() and asked.strip() and said.strip():
            labels["SSA"] = (labels["sensible"] + labels["specific"]) / 2
            exchange = Exchange((*before[-4:], asked), said)
            yield Rated(
                f"{row['id']}",
                "hulic_ko_human" if system == "Human" else "hulic_ko",
                "reply",
                system,
                f"{system}-{talk}",
                (exchange,),
                labels,
                "SSA",
                language="ko",
            )
        before = [*before, asked, said]
