"""Contexts from JSON Lines in any of the forms people keep them in; a row that is wrong is named by file and row.

Forms: ``{"id", "context": [text, …]}`` with optional ``references`` | ``reference`` | ``positive_responses`` |
``human_responses`` | ``answers`` and ``adversarial_negative_responses``; or whole talks ``{"id", "turns": [{"speaker",
"text"}, …] | [text, …]}``, cut at replies of the second speaker. No path is built in.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.errors import UserError
from eval.offline.items import Item
from eval.offline.jsonl import numbered_rows

MOST_ROWS_WITHOUT_SAMPLE = 200_000
REFERENCES = ("references", "positive_responses", "human_responses")
NEGATIVES = ("negatives", "adversarial_negative_responses")


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file is read: ``sample`` rows drawn by the hash of their ids (0: all), up to ``per_talk`` replies of a
    whole talk, the conversation of an id being what stands before ``group_separator`` (empty: the id itself).
    """

    sample: int = 0
    per_talk: int = 1
    group_separator: str = ""
    need_references: bool = False


def read_items(path: Path, reading: Reading | None = None) -> list[Item]:
    """The items of a file, in its order. Raises UserError with file and row for the first row that is wrong."""
    how = reading or Reading()
    kept: list[tuple[int, int, Item]] = []
    marks = array("Q")
    for number, item in _items(path, how):
        mark = _mark(item.id)
        marks.append(mark)
        kept.append((mark, number, item))
        if how.sample and len(kept) > 4 * how.sample + 64:
            kept = _lowest(kept, how.sample)
        if not how.sample and len(kept) > MOST_ROWS_WITHOUT_SAMPLE:
            raise UserError(f"{path}, row {number}: more than {MOST_ROWS_WITHOUT_SAMPLE:,} items; give a sample size.")
    _refuse_twins(path, marks, how)
    if not kept:
        raise UserError(f"{path} holds no items; give a file with at least one row.")
    chosen = _lowest(kept, how.sample) if how.sample else kept
    return [item for _, _, item in sorted(chosen, key=lambda entry: entry[1])]


def _lowest(kept: list[tuple[int, int, Item]], count: int) -> list[tuple[int, int, Item]]:
    """A sample that depends on the ids alone: those whose hashes are lowest."""
    return sorted(kept, key=lambda entry: entry[:2])[:count]


def _mark(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


def _refuse_twins(path: Path, marks: array[int], how: Reading) -> None:
    """Two rows with one id; only then is the file read again to name the row."""
    values = np.sort(np.frombuffer(marks, dtype=np.uint64)) if marks else np.empty(0, np.uint64)
    twins = set(values[1:][values[1:] == values[:-1]].tolist())
    if not twins:
        return
    first: dict[str, int] = {}
    for number, item in _items(path, how):
        if _mark(item.id) in twins and first.setdefault(item.id, number) != number:
            raise UserError(
                f"{path}, row {number}: the id {item.id!r} was used in row {first[item.id]}; give every row its own."
            )


def _items(path: Path, how: Reading) -> Iterator[tuple[int, Item]]:
    for number, row in numbered_rows(path):
        where = f"{path}, row {number}"
        name = row.get("id")
        if not isinstance(name, str | int) or isinstance(name, bool) or name == "":
            raise UserError(f"{where}: the field 'id' is missing; give every row a text or a whole number.")
        found = [_context_item(row, where)] if "context" in row else _talk_items(row, where, how.per_talk)
        for item in found:
            separator = how.group_separator
            group = str(name).split(separator)[0] if separator else str(name)
            if how.need_references and not item.references:
                raise UserError(f"{where}: no human answer ('references' or the like); this suite needs one.")
            yield number, replace(item, source=path.name.split(".")[0], group=group)


def _context_item(row: Mapping[str, Any], where: str) -> Item:
    context = texts(row, "context", where)
    if not context:
        raise UserError(f"{where}: the field 'context' is empty; give at least one turn.")
    references = [text for field in REFERENCES if field in row for text in texts(row, field, where, filled=True)]
    if "reference" in row:
        references += texts({"reference": [row["reference"]]}, "reference", where)
    if isinstance(row.get("answers"), dict):
        references += [str(text) for who, text in row["answers"].items() if who.startswith("human") and text]
    negatives = [text for field in NEGATIVES if field in row for text in texts(row, field, where)]
    facts = texts(row, "persona", where) if isinstance(row.get("persona"), list) else []
    return Item(str(row["id"]), tuple(context), tuple(references), tuple(negatives), tuple(facts))


def _talk_items(row: Mapping[str, Any], where: str, per_talk: int) -> list[Item]:
    if "turns" not in row:
        raise UserError(f"{where}: neither 'context' nor 'turns'; a row needs one of them.")
    said = [text for _, text in talk_turns(row, where)]
    facts = texts(row, "persona", where) if row.get("persona") else []
    places = spread(list(range(1, len(said), 2)), per_talk)
    return [Item(f"{row['id']}#{p}", tuple(said[:p]), (said[p],), facts=tuple(facts)) for p in places]


def talk_turns(row: Mapping[str, Any], where: str) -> list[tuple[str, str]]:
    """(speaker, text) of a whole talk, in either form; plain texts alternate between A and B."""
    turns = row["turns"]
    if not isinstance(turns, list) or len(turns) < 2:
        raise UserError(f"{where}: the field 'turns' needs a list of at least two turns.")
    found: list[tuple[str, str]] = []
    for place, turn in enumerate(turns, start=1):
        match turn:
            case str(text) if text.strip():
                found.append(("AB"[(place - 1) % 2], text))
            case {"speaker": str(speaker), "text": str(text)} if text.strip():
                found.append((speaker, text))
            case _:
                raise UserError(f"{where}: turn {place} is neither a text nor {{speaker, text}} with words in it.")
    return found


def texts(row: Mapping[str, Any], field: str, where: str, *, filled: bool = False) -> list[str]:
    """A field that must be a list of texts with words in them; ``filled``: and must not be empty."""
    values = row[field]
    if not isinstance(values, list) or not all(isinstance(value, str) and value.strip() for value in values):
        raise UserError(f"{where}: the field {field!r} needs a list of texts that are not empty.")
    if filled and not values:
        raise UserError(f"{where}: the field {field!r} is an empty list; give at least one text or leave it out.")
    return list(values)


def spread(places: Sequence[int], count: int) -> list[int]:
    """Up to ``count`` of the places, evenly spread, the last one among them."""
    if count <= 0 or len(places) <= count:
        return list(places)
    step = len(places) / count
    return [places[len(places) - 1 - int(step * i)] for i in reversed(range(count))]
