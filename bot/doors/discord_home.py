"""What the Discord client needs of the rest of the program, and how it behaves where a server chose nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bot.exchange import Engine
from bot.history.store import HistoryStore
from bot.rating_form import DEFAULT_FORM, RatingForm

if TYPE_CHECKING:
    from bot.doors.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Manners:
    """How the bot behaves where a server chose nothing."""

    timeout_s: float = 60.0
    cooldown_s: float = 1.5
    channel_queue: int = 5
    retention_days: int = 90
    message_content: bool = False


@dataclass(slots=True)
class Home:
    """What the client needs of the rest of the program."""

    engine: Engine
    store: HistoryStore
    manners: Manners = field(default_factory=Manners)
    form: RatingForm = DEFAULT_FORM
    metrics: Metrics | None = None
    """Where the engine is in this process; a remote one counts for itself."""
