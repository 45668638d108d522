"""Two engines on one PostgreSQL: order and once-only answers hold across processes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.engine import ChatEngine
from bot.history.database import upgrade
from bot.history.opening import open_store
from dialogue.turns import ConversationKey, Role
from tests.fakes import FakeGenerator, fake_engine, message, until
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres
PERSON_KEY = b"0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def two_engines(postgres: PostgresServer) -> AsyncIterator[tuple[ChatEngine, ChatEngine, list[FakeGenerator]]]:
    """Each with a store, a turnstile and a model of its own, as two processes would have."""
    url = postgres.new_database()
    upgrade(url)
    stores = [open_store(url, person_key=PERSON_KEY) for _ in range(2)]
    generators = [FakeGenerator(steps=4, step_s=0.005) for _ in range(2)]
    try:
        async with (
            fake_engine(generators[0], store=stores[0], max_per_person=99) as one,
            fake_engine(generators[1], store=stores[1], max_per_person=99) as two,
        ):
            yield one, two, generators
    finally:
        for store in stores:
            store.close()


async def test_turns_of_one_conversation_never_interleave_across_engines(postgres: PostgresServer) -> None:
    async with two_engines(postgres) as (one, two, _):
        engines = [one, two] * 8
        await asyncio.gather(*(e.reply(message(f"m{n}", message_id=f"{n}", in_s=200)) for n, e in enumerate(engines)))
        turns = one.store.load(ConversationKey("test", "here"), last=100).turns
        assert [turn.role for turn in turns] == [Role.USER, Role.BOT] * 16
        for heard, said in zip(turns[::2], turns[1::2], strict=True):
            assert heard.text in said.text
        counts = [int(turn.text.rsplit("(", 1)[1].rstrip(")")) for turn in turns[1::2]]
        assert counts == list(range(1, 33, 2))  # each saw everything that was said before it


async def test_a_message_delivered_to_both_engines_is_answered_once(postgres: PostgresServer) -> None:
    async with two_engines(postgres) as (one, two, generators):
        places = [f"p{n}" for n in range(10)]
        both = [
            engine.reply(message("Hello", place=place, person=place, message_id="same", in_s=200))
            for place in places
            for engine in (one, two)
        ]
        replies = await asyncio.gather(*both)
        assert len({reply.turn_id for reply in replies}) == len(places)
        asked = Counter(r.conversation.key.place for g in generators for r in g.admitted)
        assert asked == dict.fromkeys(places, 1)


async def test_an_engine_that_dies_while_answering_gives_the_conversation_free(postgres: PostgresServer) -> None:
    async with two_engines(postgres) as (one, two, generators):
        generators[0].steps = 100_000
        dying = asyncio.create_task(one.reply(message("Hello", message_id="m")))
        await until(lambda: bool(generators[0].live))
        waiting = asyncio.create_task(two.reply(message("Hello", message_id="m")))
        await asyncio.sleep(0.2)  # time enough to overtake, if it could
        assert not waiting.done()
        dying.cancel()
        assert (await waiting).turn.text == "You said: Hello (1)"
