"""The parts of a stream that no client can time: leaving in the very moment in which it begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from starlette.types import Message

from bot.doors.http_api_streaming import EventStream, Job


async def test_a_client_that_is_gone_before_the_first_event_cancels_the_work_too() -> None:
    async def endless(tell: Callable[[int], None]) -> None:
        await asyncio.Event().wait()

    async def events() -> AsyncIterator[bytes]:
        await work.task
        yield b"never"

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await asyncio.Event().wait()  # nobody reads

    work = Job(endless)
    await EventStream(events(), work.cancel)({"type": "http"}, receive, send)
    assert work.task.cancelled()
