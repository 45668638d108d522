"""The engine's promises: every message is answered once, in order, safely, and kept whole or not at all."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from bot.exchange import Exchange, Feedback, Source
from bot.history.memory_store import MemoryStore
from bot.history.opening import open_store
from bot.history.store import HistoryStore
from dialogue.errors import DialogueError, Overloaded, StorageError, UnknownName, UserError
from dialogue.turns import Conversation, ConversationKey, PersonKey
from safety.filter import SafetyFilter, load_filter
from safety.verdict import Action
from tests.fakes import FakeGenerator, fake_engine, holding, message, until

HERE = ConversationKey("test", "here")
ANA = PersonKey("test", "ana")


@pytest.fixture(scope="module")
def safety() -> SafetyFilter:
    return load_filter()


def texts(store: HistoryStore, place: str = "here") -> list[str]:
    return [turn.text for turn in store.load(ConversationKey("test", place), last=1000).turns]


async def test_a_reply_is_stored_before_it_is_given() -> None:
    store = MemoryStore()
    async with fake_engine(store=store) as engine:
        reply = await engine.reply(message("Hello there"))
    assert reply.turn.text == "You said: Hello there (1)"
    assert texts(store) == ["Hello there", "You said: Hello there (1)"]
    record = store.record(reply.turn_id)
    assert record is not None
    assert record.reply.turn.text == reply.turn.text


async def test_the_conversation_is_remembered_across_restarts(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'history.sqlite3'}"
    for turns_before in (0, 2, 4):
        store = open_store(url)
        async with fake_engine(store=store) as engine:
            reply = await engine.reply(message("Hello"))
        store.close()
        assert reply.turn.text == f"You said: Hello ({turns_before + 1})"


async def test_four_quick_messages_are_answered_in_order_and_nobody_is_mixed_up() -> None:
    store = MemoryStore()
    async with fake_engine(FakeGenerator(step_s=0.001), store=store) as engine:
        await asyncio.gather(
            *(engine.reply(message(f"m{n}", place=place, person=place)) for n in range(4) for place in ("a", "b", "c"))
        )
    for place in ("a", "b", "c"):
        assert texts(store, place) == [t for n in range(4) for t in (f"m{n}", f"You said: m{n} ({2 * n + 1})")]


async def test_the_first_candidate_that_safety_allows_is_said_before_any_canned_line() -> None:
    def say(conversation: Conversation) -> list[str]:
        return ["Kill yourself, you worthless bitch.", "I like long walks by the sea."]

    async with fake_engine(FakeGenerator(say)) as engine:
        reply = await engine.reply(message("What do you like?"))
    assert reply.source is Source.MODEL
    assert reply.turn.text == "I like long walks by the sea."
    assert (reply.candidates[0].dropped_by or "").startswith("safety:")


async def test_a_canned_line_is_said_when_no_candidate_may_be() -> None:
    async with fake_engine(FakeGenerator(lambda conversation: ["Kill yourself, you worthless bitch."])) as engine:
        reply = await engine.reply(message("What do you like?"))
    assert reply.source is Source.FALLBACK
    assert "worthless" not in reply.turn.text


async def test_a_person_at_risk_gets_help_and_not_the_model() -> None:
    generator = FakeGenerator()
    async with fake_engine(generator) as engine:
        reply = await engine.reply(message("I want to kill myself"))
    assert reply.source is Source.CRISIS
    assert reply.verdict_in.action is Action.CRISIS
    assert not generator.admitted


async def test_the_conversation_goes_on_after_a_block() -> None:
    store = MemoryStore()
    async with fake_engine(store=store) as engine:
        await engine.reply(message("Hello"))
        blocked = await engine.reply(message("I will kill you, you fucking bitch"))
        after = await engine.reply(message("Sorry. How are you?"))
    assert blocked.source is Source.DEFLECTION
    assert after.source is Source.MODEL
    assert len(texts(store)) == 6


async def test_personal_data_is_masked_before_it_is_stored() -> None:
    store = MemoryStore()
    async with fake_engine(store=store) as engine:
        await engine.reply(message("My mail is ana.smith@example.org, write to me"))
    assert not any("ana.smith@example.org" in text for text in texts(store))


async def test_an_honest_line_answers_a_language_that_the_model_does_not_speak() -> None:
    generator = FakeGenerator()
    async with fake_engine(generator) as engine:
        reply = await engine.reply(message("오늘 뭐 했어?"))
    assert reply.source is Source.LANGUAGE
    assert "한국어" in reply.turn.text
    assert not generator.admitted


async def test_a_person_in_danger_is_never_merely_asked_to_write_english() -> None:
    async with fake_engine() as engine:
        in_danger = await engine.reply(message("지금 손에 약을 들고 있어."))
        unwell = await engine.reply(message("가슴이 너무 아프고 왼팔이 저려."))
        unread = await engine.reply(message("오늘 뭐 했어?", place="elsewhere"))
    assert in_danger.source is unwell.source is Source.CRISIS
    assert unread.source is Source.LANGUAGE
    assert all("119" in reply.turn.text for reply in (in_danger, unwell, unread))


async def test_the_same_message_delivered_twice_is_answered_once() -> None:
    store, generator = MemoryStore(), FakeGenerator()
    async with fake_engine(generator, store=store) as engine:
        first, second = await asyncio.gather(*(engine.reply(message("Hello", message_id="17")) for _ in range(2)))
    assert first.turn_id == second.turn_id
    assert len(generator.admitted) == 1
    assert len(texts(store)) == 2


async def test_a_failing_model_is_answered_for_and_the_answer_stored() -> None:
    store, generator = MemoryStore(), FakeGenerator()
    generator.fail = lambda request: True
    async with fake_engine(generator, store=store) as engine:
        reply = await engine.reply(message("Hello"))
    assert reply.source is Source.FALLBACK
    assert texts(store) == ["Hello", reply.turn.text]


async def test_a_slow_model_is_answered_for_when_time_runs_out() -> None:
    async with fake_engine(FakeGenerator(steps=100_000, step_s=0.001)) as engine:
        reply = await engine.reply(message("Hello", in_s=0.1))
    assert reply.source is Source.FALLBACK


async def test_a_full_queue_refuses_and_stores_nothing() -> None:
    store = MemoryStore()
    generator = FakeGenerator(steps=100_000, step_s=0.001)
    async with fake_engine(generator, store=store, max_queue=1, max_batch=1) as engine:
        under_way = [asyncio.create_task(engine.reply(message("hi", place=p, person=p))) for p in ("a", "b")]
        await until(lambda: bool(generator.live))
        with pytest.raises(Overloaded):
            await asyncio.gather(*(engine.reply(message("hi", place=p, person=p)) for p in ("c", "d", "e")))
        for task in under_way:
            task.cancel()
        await asyncio.wait(under_way)
    assert not any(texts(store, place) for place in "abcde")


async def test_a_cancelled_reply_leaves_nothing_and_the_conversation_goes_on() -> None:
    store, generator = MemoryStore(), FakeGenerator(steps=100_000, step_s=0.001)
    async with fake_engine(generator, store=store) as engine:
        task = asyncio.create_task(engine.reply(message("never mind")))
        await until(lambda: bool(generator.live))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        generator.steps = 1
        await engine.reply(message("Hello"))
    assert texts(store) == ["Hello", "You said: Hello (1)"]


async def test_events_tell_the_stages_and_end_with_the_reply() -> None:
    async with fake_engine(FakeGenerator(steps=4, step_s=0.002)) as engine:
        events = [event async for event in engine.events(message("Hello"))]
    assert [event.stage for event in events] == ["thinking", "decoding", "decoding", "decoding", "done"]
    assert events[-1].reply is not None
    assert events[-1].reply.turn.text == "You said: Hello (1)"


async def test_leaving_the_events_early_cancels_the_reply() -> None:
    store, generator = MemoryStore(), FakeGenerator(steps=100_000, step_s=0.001)
    async with fake_engine(generator, store=store) as engine:
        stream = engine.events(message("Hello"))
        async for event in stream:
            if event.stage == "decoding":
                break
        await stream.aclose()  # type: ignore[attr-defined]
        await until(lambda: not generator.live)
    assert not texts(store)


async def test_seconds_are_told_by_stage() -> None:
    async with fake_engine() as engine:
        reply = await engine.reply(message("Hello"))
    assert list(reply.seconds) == ["wait", "load", "hear", "queue", "decode", "choose", "store"]
    assert all(seconds >= 0 for seconds in reply.seconds.values())


async def test_a_persona_is_chosen_per_place_and_kept() -> None:
    seen: list[str] = []

    def say(conversation: Conversation) -> list[str]:
        seen.append(conversation.persona.name)
        return ["Fine."]

    async with fake_engine(FakeGenerator(say)) as engine:
        await engine.reply(message("Hello"))
        await engine.use_persona(HERE, "captain")
        await engine.reply(message("Hello"))
        await engine.reply(message("Hello", place="elsewhere"))
        with pytest.raises(UnknownName, match="did you mean 'captain'"):
            await engine.use_persona(HERE, "captian")
    assert seen == ["robin", "captain", "robin"]


async def test_reset_begins_anew_and_keeps_what_was_said() -> None:
    async with fake_engine() as engine:
        await engine.reply(message("Hello"))
        await engine.reset(HERE)
        assert (await engine.reply(message("Hello"))).turn.text == "You said: Hello (1)"
        assert "Hello" in str((await engine.export(ANA)).data)


async def test_forget_removes_what_export_showed() -> None:
    async with fake_engine() as engine:
        reply = await engine.reply(message("I collect purple umbrellas"))
        await engine.feedback(Feedback(reply.turn_id, ANA, "sensible", 1, "test-1"))
        assert "purple umbrellas" in str((await engine.export(ANA)).data)
        forgotten = await engine.forget(ANA)
        assert sum(forgotten.counts.values()) >= 3
        assert "purple umbrellas" not in str((await engine.export(ANA)).data)


async def test_who_asks_to_be_forgotten_while_an_answer_is_under_way_leaves_nothing_behind() -> None:
    store, generator = MemoryStore(), holding()
    async with fake_engine(generator, store=store) as engine:
        asked = asyncio.create_task(engine.reply(message("I collect purple umbrellas")))
        await until(lambda: bool(generator.live))
        await engine.forget(ANA)
        generator.let_go()
        with pytest.raises(UserError, match="forget"):
            await asked
        assert texts(store) == []
        assert (await engine.reply(message("Hello"))).turn.text == "You said: Hello (1)"


async def test_who_asks_to_be_forgotten_while_an_answer_is_stored_leaves_nothing_behind() -> None:
    class Slow(MemoryStore):
        def append(self, key: ConversationKey, exchange: Exchange) -> list[int]:
            entered.set()
            assert go_on.wait(60)
            return super().append(key, exchange)

    entered, go_on, store = threading.Event(), threading.Event(), Slow()
    async with fake_engine(store=store) as engine:
        asked = asyncio.create_task(engine.reply(message("I collect purple umbrellas")))
        await until(entered.is_set)
        await engine.forget(ANA)
        go_on.set()
        with pytest.raises(UserError, match="forget"):
            await asked
        assert texts(store) == []


async def test_a_caller_that_leaves_while_its_answer_is_stored_keeps_its_turn_until_that_is_done() -> None:
    class Slow(MemoryStore):
        def append(self, key: ConversationKey, exchange: Exchange) -> list[int]:
            if exchange.heard.text == "first":
                entered.set()
                assert go_on.wait(60)
            return super().append(key, exchange)

    entered, go_on, store = threading.Event(), threading.Event(), Slow()
    async with fake_engine(store=store) as engine:
        first = asyncio.create_task(engine.reply(message("first")))
        await until(entered.is_set)
        first.cancel()
        second = asyncio.create_task(engine.reply(message("second")))
        await asyncio.sleep(0.01)
        go_on.set()
        assert (await second).turn.text == "You said: second (3)"
        assert first.cancelled() or first.done()
    assert texts(store)[::2] == ["first", "second"]


@pytest.mark.parametrize("text", ["", "  ", "\x00", "x" * 2**20])
async def test_a_message_that_cannot_be_read_gets_a_sentence_and_is_not_stored(text: str) -> None:
    store = MemoryStore()
    async with fake_engine(store=store) as engine:
        with pytest.raises(UserError):
            await engine.reply(message(text))
        await engine.reply(message("Hello"))
    assert len(texts(store)) == 2


async def test_a_store_that_fails_is_told_and_nothing_is_said() -> None:
    class Full(MemoryStore):
        def append(self, *args: object) -> list[int]:
            raise StorageError("The disk is full; make room.")

    async with fake_engine(store=Full()) as engine:
        with pytest.raises(StorageError, match="disk is full"):
            await engine.reply(message("Hello"))


async def test_a_hundred_people_at_once_are_each_answered_once_or_refused() -> None:
    store = MemoryStore()
    async with fake_engine(FakeGenerator(step_s=0.0005), store=store, max_queue=40) as engine:
        people = [f"p{n}" for n in range(100)]
        asked = [engine.reply(message("Hello", place=name, person=name)) for name in people]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    for name, answer in zip(people, answers, strict=True):
        assert isinstance(answer, DialogueError) == (not texts(store, name))
        assert len(texts(store, name)) in {0, 2}
    assert sum(isinstance(answer, DialogueError) for answer in answers) < 100
