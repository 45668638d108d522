"""What the bot remembers, as a protocol: conversations, ratings, server settings, and how all of it is removed again.

Knows nothing of SQL. Every method is synchronous and safe to call from several threads; async callers go through
``asyncio.to_thread``. Every method may raise ``StorageError``. Texts arrive masked and are never logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from bot.exchange import Exchange, Export, Feedback, Forgotten, Reply
from dialogue.errors import StorageError
from dialogue.turns import ConversationKey, PersonKey, Turn

Scope = str | PersonKey
"""What settings belong to: a name such as ``"discord:server:813"``, or a person (removed by ``forget``)."""

OWN_SCOPE = "chinwag"
"""The scope the store keeps its own notes under; doors do not use it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The newest turns of the present episode, oldest first, and the name of the persona chosen here, if one was."""

    turns: tuple[Turn, ...] = ()
    persona: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One stored exchange. The candidates' hypotheses come back without token ids: those would undo the masking."""

    heard: Turn
    heard_id: int
    reply: Reply
    model: str
    persona: str
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """One stored rating; ``rater`` is the person's keyed hash, stable but not the person's name."""

    turn_id: int
    rater: str
    label: str
    value: int
    form: str
    given_at: datetime


class AlreadyAnswered(StorageError):
    """This message was answered before, perhaps by another process; ``reply`` is that first answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__("This message already has an answer.")
        self.reply = reply


class HistoryStore(Protocol):
    """The bot's memory. ``key`` names a conversation at a door; one that nobody wrote in yet is simply empty."""

    def load(self, key: ConversationKey, *, last: int) -> Stored:
        """The newest ``last`` turns since the latest ``reset``, oldest first."""
        ...

    def set_persona(self, key: ConversationKey, name: str | None) -> None:
        """Choose the persona of this conversation; ``None`` goes back to the one in the settings."""
        ...

    def reset(self, key: ConversationKey) -> None:
        """Begin a new episode: earlier turns stay stored but are no longer loaded. The persona stays."""
        ...

    def answered(self, key: ConversationKey, message_id: str) -> Reply | None:
        """The reply already given to this message, so that a message delivered twice is answered once."""
        ...

    def append(self, key: ConversationKey, exchange: Exchange) -> list[int]:
        """Store a whole exchange in one transaction: ids of the turn heard and the turn said.

        When it returns, the exchange is on disk. Raises AlreadyAnswered when the message id is known here.
        """
        ...

    def why(self, key: ConversationKey) -> Record | None:
        """The last exchange of the present episode, with candidates and verdicts."""
        ...

    def record(self, turn_id: int) -> Record | None:
        """The exchange that a turn belongs to, whichever of its two turns is named."""
        ...

    def transcript(self, turn_id: int) -> tuple[Turn, ...]:
        """The turns of the turn's episode from its start up to and including this one; empty when unknown."""
        ...

    def sent(self, key: ConversationKey, turn_id: int, message_ids: tuple[str, ...]) -> None:
        """Remember under which ids a door delivered a turn, for reactions and reply chains. UserError: no such turn."""
        ...

    def turn_sent_as(self, key: ConversationKey, message_id: str) -> int | None:
        """The turn that a door delivered under this id."""
        ...

    def feedback(self, feedback: Feedback) -> None:
        """Store a rating; it replaces an earlier one of this person, turn and label. UserError: no such turn."""
        ...

    def withdraw(self, turn_id: int, person: PersonKey, label: str) -> bool:
        """Take a rating back; whether there was one."""
        ...

    def ratings(self, *, form: str | None = None) -> tuple[Given, ...]:
        """Every stored rating in the order of its turns, or those given under one version of the questions."""
        ...

    def forget(self, person: PersonKey) -> Forgotten:
        """Remove every trace of a person: what they said, what the bot answered to it, and all that hangs on it.

        Other people's exchanges in a shared place stay. Conversations that become empty go too.
        """
        ...

    def export(self, person: PersonKey) -> Export:
        """Everything stored about a person, as JSON-ready values."""
        ...

    def purge(self, older_than: datetime) -> Forgotten:
        """Retention: remove exchanges whose reply is older, and what nobody points at afterwards."""
        ...

    def erase(self, door: str, place_prefix: str) -> Forgotten:
        """Remove whole conversations by the beginning of their place, for example when the bot leaves a server."""
        ...

    def settings(self, scope: Scope) -> Mapping[str, Any]:
        """The stored settings of a server, or of a person; empty when there are none."""
        ...

    def put_settings(self, scope: Scope, changes: Mapping[str, Any]) -> None:
        """Change some settings at once (JSON values); ``None`` removes a setting."""
        ...

    def clear_settings(self, scope: Scope) -> None:
        """Remove all settings of a scope."""
        ...

    def lock(self, key: ConversationKey, *, timeout_s: float) -> AbstractContextManager[None]:
        """Hold this conversation against every other holder; DeadlineExceeded("turnstile") after ``timeout_s`` seconds.

        Not re-entrant. May be entered in one thread and left in another.
        """
        ...

    def close(self) -> None:
        """Finish writing and let go of files and connections. Calling it twice is harmless."""
        ...
