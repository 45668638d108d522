"""The engine for "Chat and rate": one event loop in a thread, for a console that is synchronous. Knows no Streamlit."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict
from typing import Any, TypeVar

from bot.engine import ChatEngine
from bot.exchange import IncomingMessage, Source
from dialogue.decoding.config import DecodingConfig
from dialogue.turns import ConversationKey, PersonKey
from eval.ssa.studies import ChatSystem

T = TypeVar("T")

GENERIC = ("I don't know.", "Okay.")
"""GenericBot, the control of the paper (section 2.3): questions get the first line, all else the second."""
GENERIC_KO = ("잘 모르겠어요.", "네, 알겠어요.")

START_TIMEOUT_S = 600.0


class LiveEngine:
    """A chat engine that synchronous code in several threads may ask. Started on first use, stopped by ``close``."""

    def __init__(
        self, open_engine: Callable[[], AbstractAsyncContextManager[ChatEngine]], *, reply_timeout_s: float
    ) -> None:
        self._open, self._timeout_s = open_engine, reply_timeout_s
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="console-engine", daemon=True)
        self._engine: ChatEngine | None = None
        self._context: AbstractAsyncContextManager[ChatEngine] | None = None
        self._starting = threading.Lock()

    def start(self) -> None:
        """Load the model, once; whoever comes second waits. Raises what opening the engine raises."""
        with self._starting:
            if self._engine is not None:
                return
            if not self._thread.is_alive():
                self._thread.start()
            self._context = self._open()
            self._engine = self._run(self._context.__aenter__(), START_TIMEOUT_S)

    def reply(self, talk: str, person: str, text: str, system: ChatSystem) -> tuple[str, dict[str, Any]]:
        """The reply in a conversation of this name, and how it was made. Raises what the engine raises."""
        self.start()
        assert self._engine is not None
        return self._run(self._reply(self._engine, talk, person, text, system), self._timeout_s + 10)

    async def _reply(
        self, engine: ChatEngine, talk: str, person: str, text: str, system: ChatSystem
    ) -> tuple[str, dict[str, Any]]:
        message = IncomingMessage(
            ConversationKey("console", talk), PersonKey("console", person), text,
            asyncio.get_running_loop().time() + self._timeout_s, persona=system.persona, preset=system.preset,
        )  # fmt: skip
        reply = await engine.reply(message)
        config = engine.responder.decoding(system.preset or engine.habits.preset, None)
        facts = {
            "model": engine.responder.model.name, "decoding": decoding_name(config), "safety": True,
            "persona": system.persona or engine.habits.persona, "preset": system.preset or "",
        }  # fmt: skip
        if reply.source is not Source.MODEL:
            facts["not_by_model"] = str(reply.source)
        return reply.turn.text, facts

    def close(self) -> None:
        """Finish or refuse what is under way and stop the thread."""
        if self._context is not None and self._engine is not None:
            self._run(self._context.__aexit__(None, None, None), 60.0)
            self._engine = None
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        if not self._loop.is_running():
            self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)


def decoding_name(config: DecodingConfig) -> str:
    """A short name that changes whenever the decoding does (the seed does not count)."""
    values = {name: value for name, value in asdict(config).items() if name != "seed"}
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()[:12]


def generic_reply(text: str, language: str) -> tuple[str, dict[str, Any]]:
    """What GenericBot says."""
    question, other = GENERIC_KO if language == "ko" else GENERIC
    said = question if text.rstrip().endswith(("?", "？")) else other
    return said, {"model": "GenericBot", "decoding": "fixed", "safety": True}


def live_engine() -> LiveEngine:
    """The engine of the settings; nothing is loaded before the first message."""
    from bot.bootstrap import open_engine
    from bot.settings import load_settings

    settings = load_settings()
    return LiveEngine(lambda: open_engine(settings), reply_timeout_s=settings.reply_timeout_s)
