"""The batcher's promises: bounded, in batches, on one thread, under deadlines, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from dialogue.batcher import Batcher, Generated
from dialogue.candidates import Candidate
from dialogue.decoding.config import DecodingConfig
from dialogue.errors import DeadlineExceeded, ModelError, Overloaded
from dialogue.generator import GenerationRequest
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from tests.fakes import FakeGenerator, holding, until


def request(text: str) -> GenerationRequest:
    turns = (Turn(Role.USER, text),)
    return GenerationRequest(Conversation(ConversationKey("test", text), Persona("plain"), turns), DecodingConfig())


@asynccontextmanager
async def batching(
    generator: FakeGenerator, max_queue: int = 64, max_batch: int = 8, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[Batcher]:
    batcher = Batcher(generator, max_queue=max_queue, max_batch=max_batch, max_wait_s=0.02, clock=clock)
    try:
        yield batcher
    finally:
        await batcher.close(drain_s=2.0)


def soon() -> float:
    return time.monotonic() + 300.0


def heard(generated: Generated) -> str:
    return generated.candidates[0].text


async def test_requests_that_arrive_together_are_decoded_together_on_one_thread() -> None:
    generator = holding()
    async with batching(generator) as batcher:
        asked = [asyncio.create_task(batcher.submit(request(str(n)), deadline=soon())) for n in range(6)]
        await until(lambda: batcher.live == 6)
        generator.let_go()
        answers = await asyncio.gather(*asked)
    assert [heard(answer) for answer in answers] == [f"You said: {n} (1)" for n in range(6)]
    assert max(generator.batch_sizes) == 6
    assert generator.threads == {"chinwag-model"}


async def test_no_batch_is_larger_than_allowed() -> None:
    generator = FakeGenerator()
    async with batching(generator, max_batch=3) as batcher:
        await asyncio.gather(*(batcher.submit(request(str(n)), deadline=soon()) for n in range(20)))
    assert max(generator.batch_sizes) == 3


async def test_a_newcomer_joins_between_steps_and_does_not_wait_for_the_slow() -> None:
    class Uneven(FakeGenerator):
        def step(self) -> dict[int, list[Candidate]]:  # whoever says "slow" never gets beyond the first step
            slow = {ticket for ticket, (asked, _) in self.live.items() if asked.conversation.turns[0].text == "slow"}
            self.live = {ticket: (a, 0 if ticket in slow else done) for ticket, (a, done) in self.live.items()}
            return super().step()

    generator = Uneven(steps=2, step_s=0.001)
    async with batching(generator) as batcher:
        slow = asyncio.create_task(batcher.submit(request("slow"), deadline=soon()))
        await until(lambda: batcher.live == 1)
        await batcher.submit(request("quick"), deadline=soon())
        assert not slow.done()
        slow.cancel()
    assert 2 in generator.batch_sizes


async def test_a_full_queue_refuses_at_once() -> None:
    generator = FakeGenerator(steps=10_000, step_s=0.002)
    async with batching(generator, max_queue=2, max_batch=1) as batcher:
        running = asyncio.create_task(batcher.submit(request("running"), deadline=soon()))
        await until(lambda: batcher.live == 1)
        waiting = [asyncio.create_task(batcher.submit(request(str(n)), deadline=soon())) for n in range(2)]
        await until(lambda: batcher.waiting == 2)
        with pytest.raises(Overloaded) as refusal:
            await batcher.submit(request("one too many"), deadline=soon())
        assert refusal.value.retry_after_s > 0
        for task in (running, *waiting):
            task.cancel()


async def test_cancelled_waiters_make_room_in_the_queue() -> None:
    generator = FakeGenerator(steps=10_000, step_s=0.002)
    async with batching(generator, max_queue=1, max_batch=1) as batcher:
        running = asyncio.create_task(batcher.submit(request("running"), deadline=soon()))
        await until(lambda: batcher.live == 1)
        waiting = asyncio.create_task(batcher.submit(request("leaves"), deadline=soon()))
        await until(lambda: batcher.waiting == 1)
        waiting.cancel()
        await asyncio.wait([waiting])
        generator.steps = 1
        assert heard(await batcher.submit(request("next"), deadline=soon())) == "You said: next (1)"
        await running


async def test_a_request_cancelled_in_the_queue_never_reaches_the_model() -> None:
    generator = FakeGenerator(steps=10_000, step_s=0.002)
    async with batching(generator, max_batch=1) as batcher:
        running = asyncio.create_task(batcher.submit(request("running"), deadline=soon()))
        await until(lambda: batcher.live == 1)
        waiting = asyncio.create_task(batcher.submit(request("leaves"), deadline=soon()))
        await until(lambda: batcher.waiting == 1)
        waiting.cancel()
        running.cancel()
        await asyncio.wait([waiting, running])
    assert [asked.conversation.turns[0].text for asked in generator.admitted] == ["running"]


async def test_cancelling_drops_that_row_only() -> None:
    generator = holding()
    async with batching(generator) as batcher:
        tasks = [asyncio.create_task(batcher.submit(request(str(n)), deadline=soon())) for n in range(3)]
        await until(lambda: batcher.live == 3)
        tasks[1].cancel()
        await until(lambda: batcher.live == 2)
        generator.let_go()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(answers[1], asyncio.CancelledError)
    assert [heard(answer) for answer in (answers[0], answers[2])] == ["You said: 0 (1)", "You said: 2 (1)"]  # type: ignore[arg-type]
    assert len(generator.dropped) == 1


@pytest.mark.parametrize(("queue_first", "stage"), [(False, "decoding"), (True, "queue")])
async def test_a_deadline_names_the_stage_that_ran_out(queue_first: bool, stage: str) -> None:
    now, generator = [0.0], holding()
    async with batching(generator, max_batch=1, clock=lambda: now[0]) as batcher:
        tasks = []
        if queue_first:
            tasks.append(asyncio.create_task(batcher.submit(request("running"), deadline=now[0] + 9.0)))
            await until(lambda: batcher.live == 1)
        late = asyncio.create_task(batcher.submit(request("late"), deadline=now[0] + 1.0))
        await until(lambda: batcher.waiting + batcher.live == 1 + queue_first)
        await until(lambda: (batcher.waiting if queue_first else batcher.live) == 1)
        now[0] += 2.0
        for running in tasks:
            running.cancel()
        with pytest.raises(DeadlineExceeded) as ended:
            await late
        assert ended.value.stage == stage
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_bad_request_fails_alone_and_the_service_goes_on() -> None:
    generator = FakeGenerator()
    generator.fail = lambda asked: asked.conversation.turns[0].text == "bad"
    async with batching(generator) as batcher:
        asked = [batcher.submit(request(text), deadline=soon()) for text in ("good", "bad", "fine")]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert isinstance(answers[1], ModelError)
        assert [heard(answer) for answer in (answers[0], answers[2])] == ["You said: good (1)", "You said: fine (1)"]  # type: ignore[arg-type]
        assert heard(await batcher.submit(request("after"), deadline=soon())) == "You said: after (1)"


async def test_a_model_that_breaks_in_mid_step_fails_its_batch_and_recovers() -> None:
    class Breaking(FakeGenerator):
        def step(self) -> dict[int, list[object]]:  # type: ignore[override]
            if any(asked.conversation.turns[0].text == "poison" for asked, _ in self.live.values()):
                raise RuntimeError("broken")
            return super().step()  # type: ignore[return-value]

    async with batching(Breaking()) as batcher:
        with pytest.raises(ModelError):
            await batcher.submit(request("poison"), deadline=soon())
        assert heard(await batcher.submit(request("after"), deadline=soon())) == "You said: after (1)"


async def test_progress_is_told_on_the_event_loop() -> None:
    seen: list[int] = []
    async with batching(FakeGenerator(steps=4)) as batcher:
        await batcher.submit(request("hi"), deadline=soon(), on_step=seen.append)
        await asyncio.sleep(0)
    assert seen == [1, 2, 3]


async def test_closing_finishes_what_is_under_way_and_refuses_what_comes_later() -> None:
    generator = holding()
    batcher = Batcher(generator)
    task = asyncio.create_task(batcher.submit(request("last"), deadline=soon()))
    await until(lambda: batcher.live == 1)
    closing = asyncio.create_task(batcher.close(drain_s=90.0))
    await until(lambda: not batcher.alive)
    generator.let_go()
    await closing
    assert heard(await task) == "You said: last (1)"
    with pytest.raises(Overloaded):
        await batcher.submit(request("too late"), deadline=soon())


async def test_closing_refuses_what_does_not_finish_in_time() -> None:
    batcher = Batcher(FakeGenerator(steps=100_000, step_s=0.002), max_batch=1)
    tasks = [asyncio.create_task(batcher.submit(request(str(n)), deadline=soon())) for n in range(3)]
    await until(lambda: batcher.live == 1)
    await batcher.close(drain_s=0.1)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(answer, Overloaded) for answer in answers)
    assert not batcher._thread.is_alive()


async def test_seconds_are_split_into_waiting_and_decoding() -> None:
    async with batching(FakeGenerator(steps=5, step_s=0.01)) as batcher:
        generated = await batcher.submit(request("hi"), deadline=soon())
    assert generated.decode_s >= 0.05
    assert generated.queue_s >= 0
