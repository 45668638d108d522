from __future__ import annotations

import asyncio
import gc
import time

import pytest

from bot.turnstile import Turnstile
from dialogue.errors import DeadlineExceeded, Overloaded
from dialogue.turns import ConversationKey, PersonKey

HERE = ConversationKey("test", "here")
ANA, BEN = PersonKey("test", "ana"), PersonKey("test", "ben")


def soon() -> float:
    return time.monotonic() + 10.0


async def test_four_quick_messages_of_one_person_are_answered_in_order() -> None:
    turnstile, answered = Turnstile(), []

    async def answer(number: int) -> None:
        async with turnstile.turn(HERE, ANA, soon()):
            await asyncio.sleep(0.01 / (number + 1))  # later ones would overtake if they could
            answered.append(number)

    await asyncio.gather(*(answer(number) for number in range(4)))
    assert answered == [0, 1, 2, 3]


async def test_two_conversations_do_not_wait_for_each_other() -> None:
    turnstile, both = Turnstile(), asyncio.Barrier(2)

    async def answer(place: str) -> None:
        async with turnstile.turn(ConversationKey("test", place), ANA, soon()):
            await asyncio.wait_for(both.wait(), 5.0)  # passes only if both are inside at once

    await asyncio.gather(answer("one"), answer("other"))


async def test_a_flood_is_refused_at_once_and_other_people_are_not() -> None:
    turnstile = Turnstile(max_per_person=2)
    async with turnstile.turn(HERE, ANA, soon()):
        waiting = asyncio.create_task(_pass(turnstile, ANA))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await _pass(turnstile, ANA)
        ben = asyncio.create_task(_pass(turnstile, BEN))
        await asyncio.sleep(0)
        assert not ben.done()
    await asyncio.gather(waiting, ben)
    await _pass(turnstile, ANA)


async def _pass(turnstile: Turnstile, person: PersonKey) -> None:
    async with turnstile.turn(HERE, person, soon()):
        pass


async def test_a_deadline_ends_the_wait_and_leaves_the_turn_to_others() -> None:
    turnstile = Turnstile()
    async with turnstile.turn(HERE, ANA, soon()):
        with pytest.raises(DeadlineExceeded) as late:
            async with turnstile.turn(HERE, BEN, time.monotonic() + 0.02):
                pass
    assert late.value.stage == "turn"
    await _pass(turnstile, BEN)


async def test_a_cancelled_holder_lets_go() -> None:
    turnstile = Turnstile()

    async def hold() -> None:
        async with turnstile.turn(HERE, ANA, soon()):
            await asyncio.sleep(60)

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    holder.cancel()
    await asyncio.wait([holder])
    await asyncio.wait_for(_pass(turnstile, BEN), 5.0)


async def test_nothing_is_kept_of_conversations_that_are_over() -> None:
    turnstile = Turnstile()
    for number in range(100):
        async with turnstile.turn(ConversationKey("test", str(number)), ANA, soon()):
            pass
    gc.collect()
    assert len(turnstile._locks) == 0
    assert not turnstile._under_way
