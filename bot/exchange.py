"""What passes between a door and the engine: messages in, replies out, and the Engine protocol itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from dialogue.candidates import Candidate
from dialogue.turns import ConversationKey, Persona, PersonKey, Turn, now
from safety.verdict import SafetyVerdict


class Source(StrEnum):
    """Where the words of a reply come from."""

    MODEL = "model"
    DEFLECTION = "deflection"
    CRISIS = "crisis"
    FALLBACK = "fallback"
    LANGUAGE = "language"


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """One message from a door. ``deadline`` is absolute, on the event loop's monotonic clock, in seconds.

    ``message_id`` is the door's own id, unique within the conversation: the same message is answered once, even if
    it is delivered twice. ``preset``, ``persona`` and ``seed`` override the settings for this reply. ``quoted`` are
    turns it refers to, read for this reply only and never stored; ``options["safety"]`` maps categories to levels,
    ``options["decoding"]`` has what to change of the preset (bot/wishes.py).
    """

    key: ConversationKey
    person: PersonKey
    text: str
    deadline: float
    speaker: str | None = None
    message_id: str | None = None
    persona: str | None = None
    preset: str | None = None
    seed: int | None = None
    quoted: tuple[Turn, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """The bot's turn, stored under ``turn_id``, and how it came about. ``seconds`` are by stage, not overlapping."""

    turn: Turn
    turn_id: int
    source: Source
    candidates: tuple[Candidate, ...]
    verdict_in: SafetyVerdict
    verdict_out: SafetyVerdict
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One message and its reply: what a store keeps in one transaction. Texts are masked before they come here."""

    person: PersonKey
    heard: Turn
    said: Turn
    source: Source
    candidates: tuple[Candidate, ...]
    verdict_in: SafetyVerdict
    verdict_out: SafetyVerdict
    model: str
    persona: str
    seconds: Mapping[str, float]
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person thinks of a stored turn. ``form`` is the version of the questions it was given under."""

    turn_id: int
    person: PersonKey
    label: str
    value: int
    form: str
    given_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed for a person, by kind of record."""

    counts: Mapping[str, int]

    def __str__(self) -> str:
        kept = [f"{n} {kind}" for kind, n in self.counts.items() if n]
        return ", ".join(kept) or "nothing was stored"


@dataclass(frozen=True, slots=True)
class Export:
    """Everything stored about a person, as JSON-ready values."""

    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """Progress of a reply: the ``stage`` and, while decoding, the ``tokens`` so far; the last one has the ``reply``."""

    stage: str
    tokens: int = 0
    reply: Reply | None = None


class Engine(Protocol):
    """The one door to the bot: ChatEngine in this process, RemoteEngine over HTTP."""

    async def reply(self, message: IncomingMessage) -> Reply:
        """Answer, store, return. Raises Overloaded, DeadlineExceeded, Cancelled, StorageError, UserError."""
        ...

    def events(self, message: IncomingMessage) -> AsyncIterator[EngineEvent]:
        """The same, with progress; the last event carries the reply."""
        ...

    async def feedback(self, feedback: Feedback) -> None:
        """Store a rating of a turn."""
        ...

    async def export(self, person: PersonKey) -> Export:
        """All that is kept about a person."""
        ...

    async def reset(self, key: ConversationKey) -> None:
        """Begin anew in this place."""
        ...

    async def use_persona(self, key: ConversationKey, name: str) -> Persona:
        """Change who the bot is in this place; UnknownName for a card that does not exist."""
        ...

    async def forget(self, person: PersonKey) -> Forgotten:
        """Remove a person's every trace and say what was removed."""
        ...
