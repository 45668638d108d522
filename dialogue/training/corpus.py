"""Reads folders of conversations (JSON Lines packed with zstd) and cleans them: filter, duplicates, test overlap.

Text in, text out; tokens are the business of :mod:`dialogue.training.tokens`, examples that of
:mod:`dialogue.training.examples`. Nothing of a corpus is kept longer than one talk, save hashes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from dialogue.errors import MissingExtra, UnknownName, UserError

TextFilter = Callable[[str], str | None]
"""Names the reason why a text must not be learnt from; ``None`` lets it pass."""

SHIPPABLE = frozenset({"permissive", "public-domain", "sharealike"})
HELD_OUT_SHARE = 0.05
LONG_TURN_WORDS, LONG_PAIR_WORDS = 12, 10


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation of a corpus: (speaker, text) pairs; the persona is that of the second speaker."""

    source: str
    id: str
    persona: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]


@dataclass
class Counts:
    """What was read, kept and dropped of one source; ``dropped`` counts turns by the filter's reason."""

    talks_read: int = 0
    talks_kept: int = 0
    turns_kept: int = 0
    words_kept: int = 0
    near_duplicates: int = 0
    test_overlaps: int = 0
    too_short: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def allow_all(_: str) -> None:
    """The filter that lets every text pass."""


_COLLECTION = re.compile(
    r"\b(mturk|mechanical turk|turkers?|(this|these|another) hits?|chit-? ?chat challenge|this challenge|byu"
    r"|class assignment|extra credit|(this|the|my) (survey|study|experiment)|alexa)\b",
    re.IGNORECASE,
)


_COARSE = re.compile(
    r"\b(damn\w*|goddamn\w*|hell|crap\w*|ass(es|hole\w*)?|badass|bastard\w*|bitch\w*|shit\w*|fuck\w*|piss\w*|wtf|stfu|lmf?ao"
    r"|sex|sexy|sexual\w*|porn\w*|nude\w*|naked|boobs?|tits?|horny|rap(e[ds]?|ist\w*)|whore\w*|slut\w*|hookers?|prostitut\w*"
    r"|suicid\w*|nazis?|hitler|retard\w*)\b",
    re.IGNORECASE,
)


def unfit_for_a_bot(text: str) -> str | None:
    """The reason why a bot must not learn a turn that a conversation may well contain.

    "empty"; "about the collection": paid writers who speak of their task teach a bot to do so too; "coarse": words
    that a filter for conversations lets pass from a person.
    """
    if not text.strip():
        return "empty"
    if _COLLECTION.search(text):
        return "about the collection"
    return "coarse" if _COARSE.search(text) else None


def load_mix(folder: Path, name: str) -> dict[str, float]:
    """Source -> weight of a named mix in the folder's ``mixes.json``; a weight is how often a source is read.

    Raises UserError when the folder has no mixes, UnknownName when it has no such mix.
    """
    mixes = _json(folder / "mixes.json")
    if name not in mixes:
        raise UnknownName("mix", name, mixes)
    return {source: float(weight) for source, weight in mixes[name]["sources"].items()}


def source_records(folder: Path) -> dict[str, dict[str, Any]]:
    """What ``sources.json`` says about each source: language, licence class, counts."""
    records: dict[str, dict[str, Any]] = _json(folder / "sources.json")
    return records


def _json(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"The corpus folder needs a readable {path.name}: {error}.") from error
    return value


def refuse_unshippable(records: Mapping[str, Mapping[str, Any]], sources: Iterable[str]) -> None:
    """Raise UserError when a source's licence class forbids training a model that is to be shipped."""
    bad = sorted(s for s in sources if records.get(s, {}).get("licence_class", "unclear") not in SHIPPABLE)
    if bad:
        names = ", ".join(bad)
        raise UserError(f"A shipped model must not learn from {names} (licence); add --research to do it anyway.")


def read_talks(path: Path) -> Iterator[Talk]:
    """The conversations of one file, one at a time. Raises UserError at the first line that is none."""
    try:
        import zstandard
    except ImportError as error:
        raise MissingExtra(f"Reading {path.name} needs zstandard", "train") from error
    try:
        with path.open("rb") as packed, zstandard.ZstdDecompressor().stream_reader(packed) as stream:
            for number, line in enumerate(io.TextIOWrapper(stream, encoding="utf-8"), 1):
                yield _talk(line, path, number)
    except (OSError, zstandard.ZstdError) as error:
        raise UserError(f"The corpus file {path} cannot be read: {error}.") from error


def _talk(line: str, path: Path, number: int) -> Talk:
    try:
        raw = json.loads(line)
        turns = tuple((str(turn["speaker"]), str(turn["text"])) for turn in raw["turns"])
        return Talk(raw["source"], str(raw["id"]), tuple(raw.get("persona") or ()), turns)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"Line {number} of {path.name} is no conversation: {error!r}.") from error


def split_talks(folder: Path, source: str, split: str) -> Iterator[Talk]:
    """A source's ``train`` or ``valid`` talks; where there is no valid file, 5% by hash of the id are held out."""
    train, valid = folder / f"{source}.train.jsonl.zst", folder / f"{source}.valid.jsonl.zst"
    if not train.is_file():
        raise UserError(f"The corpus folder has no file {train.name}.")
    if split == "valid" and valid.is_file():
        yield from read_talks(valid)
        return
    for talk in read_talks(train):
        if valid.is_file() or held_out(talk.id) == (split == "valid"):
            yield talk


def held_out(talk_id: str) -> bool:
    """Whether a talk belongs to the held-out 5%; depends on the id alone."""
    return int.from_bytes(hashlib.blake2b(talk_id.encode(), digest_size=4).digest()) / 2**32 < HELD_OUT_SHARE


def fingerprints(talk: Talk) -> set[int]:
    """Hashes of the long turns (12 words) and of the neighbouring pairs (10 words) of a talk, letters only."""
    plain = [re.sub(r"[^\w]+", " ", text.lower()).strip() for _, text in talk.turns]
    long_turns = (text for text in plain if len(text.split()) >= LONG_TURN_WORDS)
    pairs = (f"{a}\n{b}" for a, b in pairwise(plain) if len(f"{a} {b}".split()) >= LONG_PAIR_WORDS)
    return {_hash(text) for text in (*long_turns, *pairs)}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


class Cleaner:
    """Lets the good parts of talks through and counts the rest. One cleaner sees a whole mix.

    A talk is dropped when it shares a long turn or a pair of turns with a test talk, or more than half of its
    fingerprints with talks already seen; a turn that the filter names is cut out, and the talk falls into the parts
    before and after it.
    """

    def __init__(self, reason_against: TextFilter = allow_all, forbidden: Iterable[int] = ()) -> None:
        self.reason_against = reason_against
        self.forbidden = frozenset(forbidden)
        self.seen: set[int] = set()

    def clean(self, talks: Iterable[Talk], counts: Counts, again: bool = False) -> Iterator[Talk]:
        """The clean parts of the talks, each of at least two turns; ``again``: talks may say what others said."""
        for talk in talks:
            counts.talks_read += 1
            if not (again or self._is_new(talk, counts)):
                continue
            for part in self._parts(talk, counts):
                counts.talks_kept += 1
                counts.turns_kept += len(part.turns)
                counts.words_kept += sum(len(text.split()) for _, text in part.turns)
                yield part

    def _is_new(self, talk: Talk, counts: Counts) -> bool:
        marks = fingerprints(talk)
        if not self.forbidden.isdisjoint(marks):
            counts.test_overlaps += 1
            return False
        if marks and len(marks & self.seen) * 2 > len(marks):
            counts.near_duplicates += 1
            return False
        self.seen |= marks
        return True

    def _parts(self, talk: Talk, counts: Counts) -> Iterator[Talk]:
        if any(self.reason_against(fact) for fact in talk.persona):
            talk = replace(talk, persona=())
        part: list[tuple[str, str]] = []
        for turn in talk.turns:
            reason = unfit_for_a_bot(turn[1]) or self.reason_against(turn[1])
            if reason is None:
                part.append(turn)
                continue
            counts.dropped[reason] = counts.dropped.get(reason, 0) + 1
            yield from self._finished(talk, part, counts)
            part = []
        yield from self._finished(talk, part, counts)

    @staticmethod
    def _finished(talk: Talk, part: list[tuple[str, str]], counts: Counts) -> Iterator[Talk]:
        if len(part) >= 2:
            yield replace(talk, turns=tuple(part))
        elif part:
            counts.too_short += 1


def test_fingerprints(folder: Path) -> set[int]:
    """Fingerprints of every test talk in the folder, of whatever source."""
    files = sorted(folder.glob("*.test.jsonl.zst"))
    return {mark for path in files for talk in read_talks(path) for mark in fingerprints(talk)}


test_fingerprints.__test__ = False  # type: ignore[attr-defined]  # its name is no promise to pytest
