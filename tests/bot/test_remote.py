"""The engine over HTTP: the same answers, errors and cancellations as the engine in this process."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="no aiohttp: pip install 'chinwag[discord]'")

from bot.doors.http_api_keys import add_key
from bot.exchange import Feedback
from bot.history.memory_store import MemoryStore
from bot.remote import KeyRefused, open_remote
from bot.request_id import WithRequestId, is_request_id, request_id
from dialogue.errors import DeadlineExceeded, Overloaded, UserError
from dialogue.turns import ConversationKey, PersonKey, Role, Turn
from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator, holding, message, until


async def test_a_reply_over_http_is_the_reply_in_process(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, open_remote(api.url, "") as remote:
        there = await remote.reply(message("Hello", message_id="m1", quoted=(Turn(Role.USER, "Before", "ben"),)))
        here = await api.service.engine.reply(message("Hello", message_id="m1"))
        assert (there.turn.text, there.turn_id, there.source) == (here.turn.text, here.turn_id, here.source)
        assert [c.text for c in there.candidates] == [c.text for c in here.candidates]
        assert there.verdict_in == here.verdict_in and there.verdict_out == here.verdict_out
        assert [turn.text for turn in api.generator.admitted[0].conversation.turns] == ["Before", "Hello"]
        assert len(api.generator.admitted) == 1


async def test_what_to_change_of_the_decoding_and_the_safety_levels_travel(tmp_path: Path) -> None:
    options = {"decoding": {"reply_tokens": 7, "temperature": None}, "safety": {"offensive": "high"}}
    async with running_api(tmp_path) as api, open_remote(api.url, "") as remote:
        await remote.reply(message("Hello", options=options))
        assert api.generator.admitted[0].config.max_length == 7
        with pytest.raises(UserError, match="offensive"):
            await remote.reply(message("Hello", options={"safety": {"ofensive": "high"}}))


async def test_events_arrive_and_leaving_early_cancels(tmp_path: Path) -> None:
    async with running_api(tmp_path, FakeGenerator(steps=5, step_s=0.01)) as api, open_remote(api.url, "") as remote:
        events = [event async for event in remote.events(message("Hello"))]
        assert events[-1].reply is not None and {event.stage for event in events} >= {"thinking", "done"}
        api.generator.steps = 100_000
        asking = asyncio.create_task(remote.reply(message("Again")))
        await until(lambda: len(api.generator.live) == 1)
        asking.cancel()
        await until(lambda: len(api.generator.dropped) == 1)


async def test_ratings_exports_resets_and_personas_travel(tmp_path: Path) -> None:
    ana, here = PersonKey("test", "ana"), ConversationKey("test", "here")
    async with running_api(tmp_path) as api, open_remote(api.url, "") as remote:
        reply = await remote.reply(message("Hello"))
        await remote.feedback(Feedback(reply.turn_id, ana, "liked", 1, "f1"))
        assert [given.form for given in api.service.engine.store.ratings()] == ["f1"]
        assert "Hello" in str((await remote.export(ana)).data)
        assert (await remote.use_persona(here, "captain")).name
        assert api.service.engine.store.load(here, last=5).persona == "captain"
        await remote.reset(here)
        assert api.service.engine.store.load(here, last=5).turns == ()
        assert sum((await remote.forget(ana)).counts.values()) > 0
        with pytest.raises(UserError, match="captain"):
            await remote.use_persona(here, "captian")


async def test_a_message_has_one_id_in_the_doors_and_in_the_engines_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="chinwag.http")
    async with running_api(tmp_path) as api, open_remote(api.url, "") as remote:
        await remote.reply(message("Hello", message_id="1234"))
        await remote.reply(message("Hello", message_id="not an id\n"))
    logged = [json.loads(record.getMessage())["id"] for record in caplog.records if record.name == "chinwag.http"]
    assert logged[0] == "test-1234" and is_request_id(logged[1])


def test_lines_of_a_request_carry_its_id_and_others_none() -> None:
    record = logging.LogRecord("chinwag", logging.ERROR, "", 0, "storage", (), None)
    token = request_id.set("abc")
    assert WithRequestId().filter(record) and record.__dict__["request"] == "[abc] "
    request_id.reset(token)
    assert WithRequestId().filter(record) and record.__dict__["request"] == ""


async def test_forgetting_reaches_every_engine_and_says_once_what_went(tmp_path: Path) -> None:
    store, busy = MemoryStore(), holding()
    async with (
        running_api(tmp_path, store=store) as idle,
        running_api(tmp_path, busy, store=store) as answering,
        open_remote(f"{idle.url},http://127.0.0.1:9,{answering.url}", "") as remote,
        open_remote(answering.url, "") as other,
    ):
        await idle.service.engine.reply(message("I collect purple umbrellas", place="before"))
        asked = asyncio.create_task(other.reply(message("and red ones", message_id="m1")))
        await until(lambda: bool(busy.live))
        forgetting = asyncio.create_task(remote.forget(PersonKey("test", "ana")))
        assert (await forgetting).counts["turns"] == 2
        busy.let_go()
        with pytest.raises(UserError, match="forget"):
            await asked
        assert "umbrellas" not in str((await remote.export(PersonKey("test", "ana"))).data)
        assert store.load(ConversationKey("test", "here"), last=9).turns == ()


async def test_errors_are_the_errors_they_were(tmp_path: Path) -> None:
    slow = FakeGenerator(steps=100_000, step_s=0.002)
    async with running_api(tmp_path, slow, max_queue=1, max_batch=1) as api, open_remote(api.url, "") as remote:
        with pytest.raises(UserError):
            await remote.reply(message("a" * 5000))
        first = asyncio.create_task(remote.reply(message("one", place="a", person="a")))
        await until(lambda: len(slow.live) == 1)
        second = asyncio.create_task(remote.reply(message("two", place="b", person="b")))
        await until(lambda: api.service.engine.responder.batcher.waiting == 1)
        with pytest.raises(Overloaded) as refused:
            await remote.reply(message("three", place="c", person="c"))
        assert refused.value.retry_after_s >= 1
        with pytest.raises(DeadlineExceeded):
            await remote.reply(message("four", place="a", person="d", in_s=0.05))
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


async def test_another_engine_is_tried_when_one_is_gone_and_a_wrong_key_is_named(tmp_path: Path) -> None:
    secret = add_key(tmp_path / "api-keys.toml", "door", frozenset({"engine"}), None)
    async with running_api(tmp_path) as api:
        async with open_remote(f"http://127.0.0.1:9, {api.url}", secret) as remote:
            for place in "abcdef":
                assert (await remote.reply(message("Hello", place=place, message_id="1"))).turn.text
        async with open_remote(api.url, "cw-wrong") as remote:
            with pytest.raises(KeyRefused, match="CHINWAG_API_KEY"):
                await remote.reply(message("Hello"))
    async with open_remote("http://127.0.0.1:9", secret) as remote:
        with pytest.raises(Overloaded, match="out of reach"):
            await remote.reply(message("Hello", message_id="1"))
    with pytest.raises(UserError, match="CHINWAG_ENGINE_URL"):
        async with open_remote("localhost:8000", ""):
            pass
