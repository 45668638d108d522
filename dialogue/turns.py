"""The vocabulary of a conversation: plain frozen values, without identity; ids belong to the store.

Importing this module loads neither torch nor a database.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum


class Role(StrEnum):
    """Who speaks: a person, or the bot."""

    USER = "user"
    BOT = "bot"


def now() -> datetime:
    """The present moment, always with a time zone (UTC)."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Turn:
    """One thing somebody said.

    ``speaker`` is a display name that tells people of one channel apart; ``None`` where there is only one.
    """

    role: Role
    text: str
    speaker: str | None = None
    said_at: datetime = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class Example:
    """One example exchange of a persona card: the few-shot part of a prompt."""

    user: str
    bot: str


@dataclass(frozen=True, slots=True)
class Persona:
    """Who the bot is: facts it stands by, a manner of speaking, and zero or more examples of it.

    ``language`` is an ISO 639-1 code, "en" or "ko".
    """

    name: str
    facts: tuple[str, ...] = ()
    style: str = ""
    examples: tuple[Example, ...] = ()
    language: str = "en"


@dataclass(frozen=True, slots=True)
class ConversationKey:
    """Where a conversation takes place: a door ("terminal", "discord", "http") and a place within it."""

    door: str
    place: str

    def __str__(self) -> str:
        return f"{self.door}:{self.place}"


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A person at a door. Stores keep only a keyed hash of it."""

    door: str
    name: str

    def __str__(self) -> str:
        return f"{self.door}:{self.name}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A persona and the turns so far, oldest first."""

    key: ConversationKey
    persona: Persona
    turns: tuple[Turn, ...] = ()

    def with_turn(self, turn: Turn) -> Conversation:
        """The same conversation with one more turn; this one is unchanged."""
        return replace(self, turns=(*self.turns, turn))
