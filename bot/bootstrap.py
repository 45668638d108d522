"""The composition root: the only place that picks concrete classes and starts them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from bot.engine import ChatEngine, Habits
from bot.history.opening import open_store
from bot.history.store import HistoryStore
from bot.responder import Responder
from bot.retention import kept_short, purge
from bot.settings import Settings
from bot.turnstile import Turnstile
from dialogue.batcher import Batcher
from dialogue.errors import StorageError
from dialogue.generator import Generator
from dialogue.models.chat_model import ChatModel
from dialogue.persona_cards import load_persona
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from safety.filter import SafetyFilter, load_filter


@asynccontextmanager
async def open_engine(
    settings: Settings, on_progress: Callable[[str], None] = lambda line: None
) -> AsyncIterator[ChatEngine]:
    """An engine ready to answer. Leaving finishes or refuses the queue, joins the model thread, closes the store."""
    store = open_history(settings)
    try:
        async with kept_short(store, settings.retention_days), open_responder(settings, on_progress) as responder:
            yield ChatEngine(
                store=store,
                responder=responder,
                turnstile=Turnstile(max_per_person=settings.max_per_person),
                personas=load_persona,
                habits=Habits(
                    settings.persona, settings.preset or None, settings.history_turns, settings.max_message_chars
                ),
            )
    finally:
        store.close()


@asynccontextmanager
async def open_responder(
    settings: Settings, on_progress: Callable[[str], None] = lambda line: None
) -> AsyncIterator[Responder]:
    """Model, batcher and safety filter, without a history."""
    model, safety = await asyncio.gather(asyncio.to_thread(open_model, settings, on_progress), _filter(settings))
    batcher = Batcher(
        Generator(model), max_queue=settings.max_queue, max_batch=settings.max_batch, max_wait_s=settings.max_wait_s
    )
    try:
        yield Responder(model, batcher, safety)
    finally:
        await batcher.close()


def open_history(settings: Settings) -> HistoryStore:
    """The history, brought up to date and rid of what is older than the retention time."""
    if settings.database.startswith("sqlite:///"):
        _make_folder(Path(settings.database.removeprefix("sqlite:///")).parent)
    key = settings.person_key.get_secret_value()
    store = open_store(settings.database, person_key=key.encode() or None)
    purge(store, settings.retention_days)
    return store


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"The data folder {folder} cannot be made ({error.strerror}); set CHINWAG_DATA_FOLDER."
        ) from error


def open_model(settings: Settings, on_progress: Callable[[str], None] = lambda line: None) -> ChatModel:
    """Load the model that the settings name. Slow imports happen here, in a thread."""
    import torch

    from dialogue.models.loading import load

    torch.set_num_threads(settings.threads or cores())
    return load(settings.model or None, dtype=settings.dtype, on_progress=on_progress)


def cores() -> int:
    """Processor cores that this process may use; where the system cannot say (macOS), all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


async def _filter(settings: Settings) -> SafetyFilter:
    return await asyncio.to_thread(warm_filter, Path(settings.safety_policy) if settings.safety_policy else None)


def warm_filter(policy: Path | None = None) -> SafetyFilter:
    """The filter after its first judgement, which loads tables: it would hold up the event loop for a second.

    The judgement has no time limit: on a starved machine the limit would leave some detectors cold, and the first
    messages would be judged without them.
    """
    safety = load_filter(policy)
    nowhere = Conversation(ConversationKey("start", "up"), Persona("nobody"))
    patient = SafetyFilter(safety.detectors, safety.policy, budget_s=float("inf"))
    patient.hear(Turn(Role.USER, "Hello, call me at 555 0100."), nowhere)
    patient.say(Turn(Role.BOT, "Hello, call me at 555 0100."), nowhere)
    return safety
