"""Fakes with the real interfaces, short enough to trust: a scripted generator, ready-made messages and engines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

from bot.bootstrap import warm_filter
from bot.engine import ChatEngine, Habits
from bot.exchange import IncomingMessage
from bot.history.memory_store import MemoryStore
from bot.history.store import HistoryStore
from bot.responder import Responder
from bot.turnstile import Turnstile
from dialogue.batcher import Batcher
from dialogue.candidates import Candidate, Hypothesis
from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.protocol import Seq2Seq
from dialogue.generator import GenerationRequest
from dialogue.models.chat_model import ChatModel
from dialogue.persona_cards import load_persona
from dialogue.turns import Conversation, ConversationKey, PersonKey
from safety.filter import SafetyFilter

Say = Callable[[Conversation], list[str]]


def echo(conversation: Conversation) -> list[str]:
    """Two candidates that name what was heard and how many turns there were."""
    return [f"You said: {conversation.turns[-1].text} ({len(conversation.turns)})", "And then?"]


def candidate(text: str, log_prob: float = -1.0) -> Candidate:
    return Candidate(text, Hypothesis(tuple(text.encode()), log_prob, log_prob, True))


class FakeGenerator:
    """Decodes ``steps`` steps a request, then says what ``say`` says. Remembers what it was asked, and by whom.

    A test that needs a reply to be under way while something else happens holds it, instead of racing against a clock.
    """

    def __init__(self, say: Say = echo, *, steps: int = 3, step_s: float = 0.0, room: int = 64) -> None:
        self.say, self.steps, self.step_s, self.room = say, steps, step_s, room
        self.live: dict[int, tuple[GenerationRequest, int]] = {}
        self.admitted: list[GenerationRequest] = []
        self.batch_sizes: list[int] = []
        self.threads: set[str] = set()
        self.dropped: list[int] = []
        self.fail: Callable[[GenerationRequest], bool] = lambda request: False

    def hold(self) -> None:
        """Finish nobody's reply until ``let_go``."""
        self.steps, self.step_s = 10**9, 0.002

    def let_go(self) -> None:
        """Finish what is held with the next step."""
        self.steps = 1

    def has_room(self, requests: Sequence[GenerationRequest]) -> bool:
        return len(self.live) + len(requests) <= self.room

    def admit(self, requests: Mapping[int, GenerationRequest]) -> None:
        if any(self.fail(request) for request in requests.values()):
            raise RuntimeError("the fake model was told to fail")
        self.admitted.extend(requests.values())
        self.live |= {ticket: (request, 0) for ticket, request in requests.items()}

    def step(self) -> dict[int, list[Candidate]]:
        self.threads.add(threading.current_thread().name)
        self.batch_sizes.append(len(self.live))
        time.sleep(self.step_s)
        self.live = {ticket: (request, done + 1) for ticket, (request, done) in self.live.items()}
        finished = [ticket for ticket, (_, done) in self.live.items() if done >= self.steps]
        return {ticket: [candidate(t) for t in self.say(self.live.pop(ticket)[0].conversation)] for ticket in finished}

    def progress(self) -> dict[int, int]:
        return {ticket: done for ticket, (_, done) in self.live.items()}

    def drop(self, ticket: int) -> None:
        self.dropped.append(ticket)
        self.live.pop(ticket, None)

    def reset(self) -> None:
        self.live.clear()


def holding(say: Say = echo, *, room: int = 64) -> FakeGenerator:
    """A generator that finishes nothing until it is told to."""
    made = FakeGenerator(say, room=room)
    made.hold()
    return made


class NoFormat:
    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        raise AssertionError("the fake generator needs no token ids")


class Bytes:
    """A vocabulary of bytes."""

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: object) -> str:
        return bytes(ids).decode(errors="replace")  # type: ignore[call-overload, no-any-return]


def chat_model(name: str = "fake") -> ChatModel:
    """A model value for tests that never run a network."""
    return ChatModel(
        name=name, seq2seq=cast(Seq2Seq, None), vocabulary=Bytes(), context_format=NoFormat(),
        start_id=0, eos_id=1, pad_id=2, max_context=128, max_reply=64,
        defaults=DecodingConfig(num_beams=2, num_return=2), languages=frozenset({"en"}), fingerprint="fake",
    )  # fmt: skip


def message(
    text: str, *, place: str = "here", person: str = "ana", in_s: float = 300.0, **changes: object
) -> IncomingMessage:
    given = IncomingMessage(ConversationKey("test", place), PersonKey("test", person), text, time.monotonic() + in_s)
    return replace(given, **changes)  # type: ignore[arg-type]


@asynccontextmanager
async def fake_engine(
    generator: FakeGenerator | None = None,
    *,
    store: HistoryStore | None = None,
    safety: SafetyFilter | None = None,
    max_queue: int = 64,
    max_batch: int = 8,
    max_per_person: int = 5,
) -> AsyncIterator[ChatEngine]:
    """The real engine, batcher, turnstile and safety filter around a scripted generator."""
    batcher = Batcher(generator or FakeGenerator(), max_queue=max_queue, max_batch=max_batch)
    try:
        yield ChatEngine(
            store=store or MemoryStore(),
            responder=Responder(chat_model(), batcher, safety or warm_filter()),
            turnstile=Turnstile(max_per_person=max_per_person),
            personas=load_persona,
            habits=Habits("robin"),
        )
    finally:
        await batcher.close(drain_s=2.0)


async def until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    """Wait for something that another thread does."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "this never came true"
        await asyncio.sleep(0.002)
