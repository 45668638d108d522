"""Judging many texts from a file: rows in, verdicts out, in the same order. Offsets are code points of the original."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.errors import UserError
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from safety.filter import SafetyFilter
from safety.verdict import SafetyVerdict

CATEGORIES = (
    "offensive", "hate", "sexual", "sexual_minors", "selfharm", "in_danger", "emergency", "violence", "dangerous",
    "sensitive", "pii", "spam", "mentions", "impersonation", "agrees_unsafe", "bad_advice", "ignores_risk",
)  # fmt: skip
_KNOWN = frozenset({"text", "context", "speaker", "lang"})
_KEY = ConversationKey("judge", "file")


@dataclass(frozen=True, slots=True)
class Request:
    """One text to judge: the turn, the turns before it, and the row's other fields, which are given back."""

    turn: Turn
    so_far: Conversation
    extra: Mapping[str, Any]


def request(value: Any, where: str) -> Request:
    """A row as a request. Raises UserError that begins with ``where``, the file and row."""
    if not isinstance(value, dict):
        raise UserError(f'{where}: expected a JSON object with "text".')
    text, context, speaker = value.get("text"), value.get("context"), value.get("speaker", "user")
    if not isinstance(text, str):
        raise UserError(f'{where}: "text" must be a text.')
    if context is not None and not (isinstance(context, list) and all(isinstance(turn, str) for turn in context)):
        raise UserError(f'{where}: "context" must be a list of texts, or null.')
    if speaker not in ("user", "bot"):
        raise UserError(f'{where}: "speaker" must be "user" or "bot".')
    lang = value.get("lang")
    if lang is not None and not isinstance(lang, str):
        raise UserError(f'{where}: "lang" must be a language code such as "en" or "ko".')
    so_far = Conversation(_KEY, Persona("", language=lang or "en"), _turns(context or [], Role(speaker)))
    return Request(Turn(Role(speaker), text), so_far, {k: v for k, v in value.items() if k not in _KNOWN})


def _turns(context: list[str], speaker: Role) -> tuple[Turn, ...]:
    """Earlier turns, taken to alternate, the last one by the other side."""
    other = Role.BOT if speaker is Role.USER else Role.USER
    roles = [other if back % 2 == 0 else speaker for back in range(len(context))]
    return tuple(Turn(role, text) for role, text in zip(reversed(roles), context, strict=True))


def judge(safety: SafetyFilter, asked: Request) -> SafetyVerdict:
    """The verdict on one request, by the side it is on."""
    decide = safety.say if asked.turn.role is Role.BOT else safety.hear
    return decide(asked.turn, asked.so_far)


def result(verdict: SafetyVerdict, extra: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict as a row: the request's other fields first, so that none can pass for the filter's."""
    scores = {category: round(verdict.scores.get(category, 0.0), 4) for category in CATEGORIES}
    return {
        **extra,
        "action": str(verdict.action),
        "category": verdict.category,
        "scores": scores,
        "unsafe": round(verdict.scores.get("unsafe", 0.0), 4),
        "spans": [[span.start, span.end, span.kind] for span in verdict.spans],
    }


def judge_file(safety: SafetyFilter, source: Path, out: Path) -> int:
    """Judge every row of a file; the number of rows. Nothing is written when a row is bad.

    Raises UserError with one sentence that names the file and the row.
    """
    requests = list(_requests(source))
    try:
        with out.open("w", encoding="utf-8") as lines:
            for asked in requests:
                lines.write(json.dumps(result(judge(safety, asked), asked.extra)) + "\n")
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror or error}.") from error
    return len(requests)


def _requests(source: Path) -> Iterator[Request]:
    try:
        lines = source.read_bytes().split(b"\n")
    except OSError as error:
        raise UserError(f"{source} cannot be read: {error.strerror or error}.") from error
    if lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, 1):
        where = f"{source}, row {number}"
        try:
            value = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: not valid JSON.") from error
        yield request(value, where)
