"""Answers many conversations at once, in order, into a file that a killed run takes up again.

Every answer goes through the same responder as people's messages. Beside the output lies a record of what made it;
a run with another model or other settings is refused instead of being mixed in.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from bot.exchange import Reply
from bot.responder import Answer, Responder, Stopwatch
from dialogue.candidates import Candidate
from dialogue.decoding.config import DecodingConfig
from dialogue.errors import UserError
from dialogue.persona_cards import load_persona
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation to answer; the last turn of the context is what was said to the bot."""

    id: str | int
    context: tuple[str, ...]
    persona: Persona

    def conversation(self) -> Conversation:
        """Turns alternate, and the last one is the person's."""
        roles = [Role.USER if (len(self.context) - place) % 2 else Role.BOT for place in range(len(self.context))]
        turns = tuple(Turn(role, text) for role, text in zip(roles, self.context, strict=True))
        return Conversation(ConversationKey("batch", str(self.id)), self.persona, turns)


def read_rows(path: Path, default: Persona) -> list[Row]:
    """Rows ``{"id", "context": [text, …], "persona": name | [fact, …] | null}``; UserError names file and line."""
    rows: dict[str | int, Row] = {}
    for number, line in _numbered_lines(path):
        row = _parse(line, default, f"{path}, line {number}")
        if row.id in rows:
            raise UserError(f"{path}, line {number}: the id {row.id!r} was used before; give every line its own.")
        rows[row.id] = row
    return list(rows.values())


def _numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
            if line.strip():
                yield number, line
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from error


def _parse(line: str, default: Persona, where: str) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise UserError(f"{where}: this is not JSON ({error}).") from error
    match row:
        case {"id": str() | int(), "context": [*texts]} if texts and all(_is_said(text) for text in texts):
            return Row(row["id"], tuple(texts), _persona(row.get("persona"), default, where))
    raise UserError(f'{where}: a line needs the form {{"id": …, "context": ["…", …]}} with texts that are not empty.')


def _is_said(text: object) -> bool:
    return isinstance(text, str) and bool(text.strip())


def _persona(value: object, default: Persona, where: str) -> Persona:
    match value:
        case None:
            return default
        case str(name):
            return load_persona(name)
        case [*facts] if all(isinstance(fact, str) for fact in facts):
            return Persona("custom", tuple(map(str, facts)))
    raise UserError(f"{where}: a persona is a card's name, a list of facts, or null.")


class Output:
    """The output file and, beside it, the record of what made it."""

    def __init__(self, path: Path, made_by: Mapping[str, Any]) -> None:
        """Open for appending; UserError when the file was begun with another model or other settings."""
        self.path = path
        record = path.with_name(path.name + ".run.json")
        wanted = json.loads(json.dumps(made_by))
        if path.exists() and path.stat().st_size:
            self._check(record, wanted)
        else:
            record.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        self.done = self._whole_lines()

    def _check(self, record: Path, wanted: dict[str, Any]) -> None:
        try:
            before = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"{self.path} exists but was not begun by this command; name another file.") from None
        differ = [name for name in wanted if before.get(name) != wanted[name]]
        if differ:
            raise UserError(
                f"{self.path} was begun with other settings ({', '.join(differ)}); name another file, or use the same."
            )

    def _whole_lines(self) -> int:
        """Cut off half a line that a kill left, and count the whole ones."""
        if not self.path.exists():
            return 0
        content = self.path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) != len(content):
            self.path.write_bytes(whole)
        return whole.count(b"\n")

    def open(self) -> TextIO:
        """The file, at its end."""
        return self.path.open("a", encoding="utf-8")


def made_by(responder: Responder, config: DecodingConfig, source: Path, persona: str, seed: int) -> dict[str, Any]:
    """What an output file depends on."""
    return {
        "model": responder.model.name,
        "fingerprint": responder.model.fingerprint,
        "decoding": asdict(replace(config, seed=None)),
        "persona": persona,
        "seed": seed,
        "input_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }


async def answer_all(
    rows: list[Row],
    responder: Responder,
    config: DecodingConfig,
    out: Output,
    *,
    seed: int,
    at_once: int,
    timeout_s: float,
    on_answer: Callable[[Row, Reply], None],
) -> None:
    """Answer the rows that ``out`` does not have yet, ``at_once`` together, and write them in their order."""
    waiting = deque(enumerate(rows[out.done :], start=out.done))
    under_way: deque[tuple[Row, asyncio.Task[Reply]]] = deque()
    with out.open() as file:
        try:
            while waiting or under_way:
                while waiting and len(under_way) < at_once:
                    place, row = waiting.popleft()
                    work = _answer(row, responder, replace(config, seed=seed + place), timeout_s)
                    under_way.append((row, asyncio.create_task(work)))
                row, task = under_way.popleft()
                reply = await task
                file.write(json.dumps(as_dict(row, reply), ensure_ascii=False) + "\n")
                file.flush()
                on_answer(row, reply)
        finally:
            for _, task in under_way:
                task.cancel()


async def _answer(row: Row, responder: Responder, config: DecodingConfig, timeout_s: float) -> Reply:
    watch = Stopwatch()
    deadline = time.monotonic() + timeout_s
    answer: Answer = await responder.respond(row.conversation(), config, deadline=deadline, watch=watch)
    said = Turn(Role.BOT, answer.text)
    return Reply(said, 0, answer.source, answer.candidates, answer.verdict_in, answer.verdict_out, watch.seconds)


def as_dict(row: Row, reply: Reply) -> dict[str, Any]:
    """One line of the output."""
    said = next((candidate for candidate in reply.candidates if candidate.dropped_by is None), None)
    return {
        "id": row.id,
        "reply": reply.turn.text,
        "source": str(reply.source),
        "action": str(max(reply.verdict_in.action, reply.verdict_out.action)),
        "log_prob": said.hypothesis.log_prob if said else None,
        "candidates": [_candidate(candidate) for candidate in reply.candidates],
        "seconds": {stage: round(seconds, 6) for stage, seconds in reply.seconds.items()},
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    hypothesis = candidate.hypothesis
    return {
        "text": candidate.text,
        "log_prob": hypothesis.log_prob,
        "score": hypothesis.score,
        "tokens": len(hypothesis.token_ids),
        "finished": hypothesis.finished,
        "features": dict(candidate.features),
        "dropped_by": candidate.dropped_by,
    }
