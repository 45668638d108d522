"""Messages that could not be answered in time are refused at once, and only those."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.admission import Admission, Neighbours
from dialogue.errors import WaitTooLong
from tests.fakes import FakeGenerator, fake_engine, message, until


def admission(decode_s: float, neighbours: float) -> Admission:
    """An admission at time 100 that has seen such replies."""
    made = Admission(clock=lambda: 100.0)
    for _ in range(30):
        made.learn(decode_s, neighbours)
    return made


def test_nothing_is_refused_before_the_first_reply_was_timed() -> None:
    Admission(clock=lambda: 100.0).check(1000, deadline=100.5)


def test_a_message_is_refused_when_those_before_it_take_longer_than_it_has() -> None:
    made = admission(decode_s=4.0, neighbours=8)  # half a second of the model's time each
    made.check(waiting=5, deadline=110.0)  # 5 x 0.5 + 4 = 6.5 s of the 7 s that may be filled
    with pytest.raises(WaitTooLong) as refused:
        made.check(waiting=30, deadline=110.0)  # 30 x 0.5 + 4 = 19 s
    assert refused.value.expected_s == pytest.approx(19.0) and refused.value.retry_after_s == pytest.approx(12.0)
    assert "19 seconds" in str(refused.value)


def test_with_nobody_waiting_a_message_is_always_let_in() -> None:
    admission(decode_s=500.0, neighbours=1).check(waiting=0, deadline=101.0)


def test_what_is_expected_follows_a_model_that_becomes_faster() -> None:
    made = admission(decode_s=60.0, neighbours=1)
    for _ in range(30):
        made.learn(0.5, 1)
    made.check(waiting=10, deadline=110.0)


@given(st.floats(0.001, 100), st.floats(1, 64), st.integers(0, 500), st.integers(0, 500))
def test_who_comes_behind_more_people_never_expects_less(
    decode_s: float, neighbours: float, few: int, more: int
) -> None:
    made = admission(decode_s, neighbours)
    few, more = sorted((few, more))
    assert made.expected_s(few) <= made.expected_s(more)


def test_neighbours_are_counted_with_every_step_and_the_step_is_passed_on() -> None:
    live, heard = iter([1, 2, 6]), list[int]()
    neighbours = Neighbours(lambda: next(live), heard.append)
    assert neighbours.mean == 1.0
    for tokens in (1, 2, 3):
        neighbours.step(tokens)
    assert neighbours.mean == 3.0 and heard == [1, 2, 3]


async def test_under_a_storm_the_engine_refuses_early_and_what_it_takes_it_answers() -> None:
    generator = FakeGenerator(room=1)
    async with fake_engine(generator, max_queue=1000, max_batch=1, max_per_person=1000) as engine:
        await engine.reply(message("Hello", place="warm", person="warm"))
        assert 0 < engine.responder.admission.decode_s < 30  # the engine itself tells how long replies take
        for _ in range(40):  # from here on they take forty seconds, one at a time
            engine.responder.admission.learn(40.0, 1)
        generator.hold()
        later = [message("Hello", place=f"p{n}", person=f"p{n}", in_s=600.0) for n in range(100)]
        asked = [asyncio.create_task(engine.reply(each)) for each in later]
        await until(lambda: sum(task.done() for task in asked) >= 89)  # 10 x 40 s fit into 0.7 x 600 s
        generator.let_go()
        done = await asyncio.gather(*asked, return_exceptions=True)
        refused = [each for each in done if isinstance(each, WaitTooLong)]
        answered = [each for each in done if not isinstance(each, BaseException)]
        assert len(refused) + len(answered) == 100 and len(refused) >= 89 and len(answered) >= 10
        assert all(each.retry_after_s > 0 for each in refused)
        assert {each.source for each in answered} == {"model"}
        await until(lambda: engine.responder.batcher.live == 0)
        assert (await engine.reply(message("Hello", place="after", person="after"))).source == "model"
