"""Conversations from files: JSON Lines (plain or zstd) and CSV in, ``Talk`` values out. Reads texts, no database.

One line is one of
  {"system", "id", "turns": [{"speaker", "text"}], "bot"?}        a whole talk; every turn of the bot is rated
  {"system", "id", "turns", "response", "annotations"?}           FED: the response is rated
  {"system", "id", "context": ["…"], "response"}                  a static context and its reply
  {"id", "context", "answers": {system: reply}}                   the same context answered by several systems
  {"id", "context", "human_responses": ["…"]}                     answers of people
  {"system", "conversation", "turn", "question", "answer", "sensible": [0, 1 …] …}   HuLiC: a turn with its votes
and may carry "language", "facts", "rated" (turn numbers), "gold" ({turn: labels}) and "votes"; see exporting.py.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dialogue.errors import MissingExtra, UserError
from eval.ssa.questions import FORM, HUMANLIKE, SENSIBLE, SPECIFIC

_HANGUL = re.compile("[\uac00-\ud7a3]")
_BOT_NAMES = {"bot", "assistant", "system", "model", "chinwag"}
FOREIGN_FORM = "imported"
"""The form of votes that were given under somebody else's wording."""


@dataclass(frozen=True, slots=True)
class ForeignVote:
    """A vote that comes with a file. ``rater`` is a pseudonym."""

    turn: int
    rater: str
    labels: Mapping[str, int]
    kind: str = "imported"
    form: str = FOREIGN_FORM
    seconds: float | None = None
    given_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of a system; ``rated`` are the numbers of the turns that raters are asked about."""

    system: str
    source: str
    turns: tuple[Mapping[str, str], ...]
    rated: tuple[int, ...]
    language: str = "en"
    facts: Mapping[str, Any] = field(default_factory=dict)
    gold: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    votes: tuple[ForeignVote, ...] = ()


def read_talks(path: Path, *, bot: str | None = None) -> list[Talk]:
    """The conversations of a file: .jsonl, .jsonl.zst or .csv. UserError names the line that cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"The file {path} cannot be read: {error.strerror}.") from error
    return talks_of(data, path.name, bot=bot)


def talks_of(data: bytes, name: str, *, bot: str | None = None) -> list[Talk]:
    """The same for a file that was uploaded. ``bot`` names the speaker to rate where the file does not."""
    text = _text(data, name)
    if name.endswith(".csv"):
        return _from_csv(text, name)
    talks: list[Talk] = []
    hulic: list[Mapping[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "answer" in row and "question" in row:
                hulic.append(row)
            elif "study" not in row and "pair" not in row:
                talks.extend(_from_row(row, bot, number))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise UserError(
                f"Line {number} of {name} is not a conversation ({type(error).__name__}: {error})."
            ) from error
    return [*talks, *_from_hulic(hulic)]


def _text(data: bytes, name: str) -> str:
    try:
        if name.endswith(".zst"):
            import zstandard

            data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data)).read()
        return data.decode("utf-8-sig")
    except ImportError:
        raise MissingExtra("Reading .zst files needs zstandard", "train") from None
    except UnicodeDecodeError:
        raise UserError(f"{name} is not UTF-8 text.") from None


def _from_row(row: Mapping[str, Any], bot: str | None, number: int) -> Iterator[Talk]:
    source = str(row.get("id", number))
    if "turns" in row:
        yield _from_turns(row, source, bot)
        return
    context = _as_turns(row["context"])
    answers = row.get("answers") or {}
    if "human_responses" in row:
        answers = {**answers, "human": row["human_responses"][0]}
    if "response" in row:
        answers = {str(row.get("system") or row.get("model") or "bot"): row["response"]}
    for system, reply in answers.items():
        turns = (*context, {"speaker": "bot", "text": str(reply)})
        yield _talk(row, str(system), source, turns, (len(turns) - 1,), "bot")


def _from_turns(row: Mapping[str, Any], source: str, bot: str | None) -> Talk:
    system = str(row.get("system", "bot"))
    turns = tuple({"speaker": str(t["speaker"]), "text": str(t["text"])} for t in row["turns"])
    if "response" in row:
        speaker = _speaker(turns, system, bot or row.get("bot")) if len(turns) > 1 else "system"
        turns = (*turns, {"speaker": speaker, "text": str(row["response"])})
        return _talk(row, system, source, turns, (len(turns) - 1,), speaker)
    speaker = _speaker(turns, system, bot or row.get("bot"))
    rated = tuple(row.get("rated", ())) or tuple(i for i, t in enumerate(turns) if t["speaker"] == speaker)
    if not rated or not all(0 <= turn < len(turns) for turn in rated):
        raise ValueError("no turn of the bot to rate")
    return _talk(row, system, source, turns, rated, speaker)


def _talk(
    row: Mapping[str, Any],
    system: str,
    source: str,
    turns: tuple[Mapping[str, str], ...],
    rated: tuple[int, ...],
    bot: str,
) -> Talk:
    language = str(row.get("language") or row.get("lang") or guess_language(turns))
    gold = row.get("gold") or {}
    if gold and not all(isinstance(value, Mapping) for value in gold.values()):
        gold = {rated[-1]: gold}
    return Talk(
        system,
        source,
        turns,
        rated,
        language,
        {**row.get("facts", {}), "bot": bot},
        {int(turn): labels for turn, labels in gold.items()},
        (*(_vote(vote) for vote in row.get("votes", ())), *_annotations(row, rated[-1])),
    )


def _vote(vote: Mapping[str, Any]) -> ForeignVote:
    given_at = datetime.fromisoformat(vote["given_at"]) if vote.get("given_at") else None
    return ForeignVote(
        int(vote["turn"]), str(vote["rater"]), {str(k): int(v) for k, v in vote["labels"].items()},
        str(vote.get("kind", "imported")), str(vote.get("form", FOREIGN_FORM)), vote.get("seconds"), given_at,
    )  # fmt: skip


def _annotations(row: Mapping[str, Any], turn: int) -> Iterator[ForeignVote]:
    """FED: {quality: [value of each rater]}; raters are known by their place only, "N/A" is no vote."""
    qualities = row.get("annotations") or {}
    prefix = "fed.dialogue." if row.get("level") == "dialogue" else "fed."
    for place in range(max((len(values) for values in qualities.values()), default=0)):
        labels = {
            prefix + quality.lower().replace(" ", "_"): int(values[place])
            for quality, values in qualities.items()
            if place < len(values) and isinstance(values[place], int)
        }
        if labels:
            yield ForeignVote(turn, f"fed-{place + 1}", labels)


def _as_turns(context: Sequence[Any]) -> tuple[Mapping[str, str], ...]:
    """Context lines as turns; plain strings alternate so that the last one is the person's."""
    if all(isinstance(line, Mapping) for line in context):
        return tuple({"speaker": str(t["speaker"]), "text": str(t["text"])} for t in context)
    last = len(context) - 1
    return tuple({"speaker": "person" if (last - i) % 2 == 0 else "bot", "text": str(t)} for i, t in enumerate(context))


def _speaker(turns: Sequence[Mapping[str, str]], system: str, given: str | None) -> str:
    """Who is the bot: the one that is named, one with a bot's or the system's name, else the second to speak."""
    speakers = list(dict.fromkeys(t["speaker"] for t in turns))
    if given is not None and given in speakers:
        return given
    wanted = _BOT_NAMES | {system.lower()}
    known = [name for name in speakers if name.lower() in wanted]
    if len(known) == 1:
        return known[0]
    if len(speakers) < 2:
        raise ValueError("only one speaker")
    return speakers[1]


def guess_language(turns: Iterable[Mapping[str, str]]) -> str:
    """Korean where there is Hangul, else English."""
    return "ko" if any(_HANGUL.search(turn["text"]) for turn in turns) else "en"


def _from_hulic(rows: Sequence[Mapping[str, Any]]) -> Iterator[Talk]:
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((str(row["system"]), int(row["conversation"])), []).append(row)
    for (system, number), group in groups.items():
        group.sort(key=lambda row: int(row["turn"]))
        turns = [
            {"speaker": who, "text": str(row[key])}
            for row in group
            for who, key in (("person", "question"), ("bot", "answer"))
        ]
        votes = [vote for i, row in enumerate(group) for vote in _hulic_votes(row, 2 * i + 1, system)]
        rated = tuple(range(1, len(turns), 2))
        yield Talk(system, f"{system}-{number}", tuple(turns), rated, "ko", {"bot": "bot"}, {}, tuple(votes))


def _hulic_votes(row: Mapping[str, Any], turn: int, system: str) -> Iterator[ForeignVote]:
    for place in range(len(row["sensible"])):
        labels = {
            label: int(row[label][place])
            for label in (SENSIBLE, SPECIFIC, HUMANLIKE, "liking")
            if label in row and place < len(row[label])
        }
        yield ForeignVote(turn, f"hulic-{system}-{place + 1}", labels)


def _from_csv(text: str, name: str) -> list[Talk]:
    """Our own CSV export: one row a vote, with the context as JSON."""
    longest: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    rated: dict[tuple[str, str], set[int]] = {}
    votes: dict[tuple[str, str], list[ForeignVote]] = {}
    languages: dict[tuple[str, str], str] = {}
    for number, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            key = (row["system"], row["conversation"])
            turns = [*json.loads(row["context"]), {"speaker": row["speaker"], "text": row["reply"]}]
            turn = len(turns) - 1
            labels = {k[6:]: int(v) for k, v in row.items() if k.startswith("label_") and v not in ("", None)}
            given_at = datetime.fromisoformat(row["given_at"]) if row["given_at"] else None
            seconds = float(row["seconds"]) if row["seconds"] else None
        except (KeyError, ValueError, TypeError) as error:
            raise UserError(f"Line {number} of {name} is not a vote of our export ({error}).") from error
        longest[key] = max(longest.get(key, []), turns, key=len)
        rated.setdefault(key, set()).add(turn)
        languages[key] = row["language"]
        if labels:
            votes.setdefault(key, []).append(
                ForeignVote(turn, row["rater"], labels, row["rater_kind"], row["form"] or FORM, seconds, given_at)
            )
    return [
        Talk(key[0], key[1], tuple(turns), tuple(sorted(rated[key])), languages[key],
             {"bot": turns[-1]["speaker"]}, {}, tuple(votes.get(key, ())))
        for key, turns in longest.items()
    ]  # fmt: skip
