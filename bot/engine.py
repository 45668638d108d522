"""The chat engine: the ten steps of a message's path, in order. Doors give it messages; it answers and remembers.

It picks no concrete classes (bot/bootstrap.py does) and runs no tensor operation and no SQL on the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from bot.exchange import EngineEvent, Exchange, Export, Feedback, Forgotten, IncomingMessage, Reply
from bot.history.store import AlreadyAnswered, HistoryStore
from bot.responder import Answer, Responder, Stopwatch
from bot.shared_turn import SharedTurn
from bot.tidy import tidy
from bot.turnstile import Turnstile
from bot.wishes import Wishes
from dialogue.errors import UserError
from dialogue.turns import Conversation, ConversationKey, Persona, PersonKey, Role, Turn

OnEvent = Callable[[EngineEvent], None]


@dataclass(frozen=True, slots=True)
class Habits:
    """What the engine does where a message does not say otherwise."""

    persona: str
    preset: str | None = None
    history_turns: int = 40
    max_message_chars: int = 4000


@dataclass(eq=False)
class _Forget:
    """Whether a person asked to be forgotten while messages of theirs were being answered, which share this value."""

    spoken: bool = False

    def check(self) -> None:
        """UserError when they did: their message and its answer must not be stored, so nothing is said either."""
        if self.spoken:
            raise UserError("You asked me to forget you while I was answering; nothing of that message was kept.")


class ChatEngine:
    """Implements bot.exchange.Engine in this process."""

    def __init__(
        self,
        *,
        store: HistoryStore,
        responder: Responder,
        turnstile: Turnstile,
        personas: Callable[[str], Persona],
        habits: Habits,
    ) -> None:
        self.store = store
        self.responder = responder
        self._turnstile = turnstile
        self._shared_turn = SharedTurn(store)
        self._personas = personas
        self.habits = habits
        self._to_forget: WeakValueDictionary[PersonKey, _Forget] = WeakValueDictionary()

    async def reply(self, message: IncomingMessage) -> Reply:
        """Answer one message; see bot.exchange.Engine. UserError for a message that nobody could answer."""
        return await self._answer(message, lambda event: None)

    async def events(self, message: IncomingMessage) -> AsyncIterator[EngineEvent]:
        """The same, with progress. Leaving the iteration early cancels the reply."""
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        work = asyncio.create_task(self._answer(message, queue.put_nowait))
        work.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            yield EngineEvent("done", reply=await work)
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([work])

    async def _answer(self, message: IncomingMessage, on_event: OnEvent) -> Reply:
        watch, wish = Stopwatch(), self._to_forget.setdefault(message.person, _Forget())
        # 1  the door handed over a message; make its text safe to handle
        text = tidy(message.text, self.habits.max_message_chars)
        # 2  wait for this conversation's turn, here and among other processes; a flood is refused
        async with self._turnstile.turn(message.key, message.person, message.deadline) as waited_s:
            watch.add("wait", waited_s)
            async with self._shared_turn.turn(message.key, message.deadline):
                return await self._answer_in_turn(message, text, watch, on_event, wish)

    async def _answer_in_turn(
        self, message: IncomingMessage, text: str, watch: Stopwatch, on_event: OnEvent, wish: _Forget
    ) -> Reply:
        heard = Turn(Role.USER, text, message.speaker)
        # 3  load the last turns; a message that was answered before gets the same answer again
        with watch.stage("load"):
            if message.message_id and (earlier := await self._answered(message)):
                return earlier
            conversation = await self._load(message.key, message.persona)
            conversation = replace(conversation, turns=(*conversation.turns, *message.quoted, heard))
        # 4-9  may we answer it; decode with everybody else's; take the first candidate that may be said
        on_event(EngineEvent("thinking"))
        preset = self.responder.decoding(message.preset or self.habits.preset, message.seed)
        config = Wishes.of(message.options.get("decoding")).granted(preset)
        answer = await self.responder.respond(
            conversation,
            config,
            deadline=message.deadline,
            watch=watch,
            levels=message.options.get("safety"),
            refuse_late=True,
            on_step=lambda tokens: on_event(EngineEvent("decoding", tokens)),
        )
        # 10  store the whole exchange; only then is it sent
        said = Turn(Role.BOT, answer.text)
        with watch.stage("store"):
            wish.check()
            try:
                turn_id = await self._store(message, heard, said, answer, conversation.persona, watch)
            except AlreadyAnswered as first:  # another process was quicker with this very message
                return first.reply
            if wish.spoken:  # between the check and the store
                await asyncio.to_thread(self.store.forget, message.person)
                wish.check()
        return Reply(
            said, turn_id, answer.source, answer.candidates, answer.verdict_in, answer.verdict_out, dict(watch.seconds)
        )

    async def _answered(self, message: IncomingMessage) -> Reply | None:
        assert message.message_id is not None
        return await asyncio.to_thread(self.store.answered, message.key, message.message_id)

    async def _load(self, key: ConversationKey, persona: str | None) -> Conversation:
        stored = await asyncio.to_thread(self.store.load, key, last=self.habits.history_turns)
        card = self._personas(persona or stored.persona or self.habits.persona)
        return Conversation(key, card, tuple(stored.turns))

    async def _store(
        self, message: IncomingMessage, heard: Turn, said: Turn, answer: Answer, persona: Persona, watch: Stopwatch
    ) -> int:
        """One transaction, shielded: a caller that goes away now leaves a whole exchange, never half of one, and keeps
        the conversation's turn until it is stored, so that the next message has it before it."""
        mask = self.responder.safety.mask
        exchange = Exchange(
            person=message.person,
            heard=replace(heard, text=mask(heard.text)),
            said=said,
            source=answer.source,
            candidates=tuple(replace(candidate, text=mask(candidate.text)) for candidate in answer.candidates),
            verdict_in=answer.verdict_in,
            verdict_out=answer.verdict_out,
            model=self.responder.model.name,
            persona=persona.name,
            seconds=dict(watch.seconds),
            message_id=message.message_id,
        )
        storing = asyncio.ensure_future(asyncio.to_thread(self.store.append, message.key, exchange))
        try:
            return (await asyncio.shield(storing))[-1]
        except asyncio.CancelledError:
            await asyncio.wait([storing])
            raise

    async def feedback(self, feedback: Feedback) -> None:
        """Store a rating of a turn."""
        await asyncio.to_thread(self.store.feedback, feedback)

    async def export(self, person: PersonKey) -> Export:
        """All that is kept about a person."""
        return await asyncio.to_thread(self.store.export, person)

    async def forget(self, person: PersonKey) -> Forgotten:
        """Remove a person's every trace and say what was removed. What this process is answering is not stored."""
        if wish := self._to_forget.pop(person, None):
            wish.spoken = True
        return await asyncio.to_thread(self.store.forget, person)

    async def reset(self, key: ConversationKey) -> None:
        """Begin anew in this place: earlier turns stay stored but are no longer read."""
        await asyncio.to_thread(self.store.reset, key)

    async def use_persona(self, key: ConversationKey, name: str) -> Persona:
        """Change who the bot is in this place, from the next message on; UnknownName for a card that does not exist."""
        card = self._personas(name)
        await asyncio.to_thread(self.store.set_persona, key, name)
        return card
