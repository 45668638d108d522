"""Server-sent events: progress as comments while the model thinks, then the words, then ``[DONE]``.

A beam has no final words until it ends, and safety reads the whole reply: the text leaves after both. A client that
goes away cancels the work.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.doors.http_api_errors import as_api_error

T = TypeVar("T")
PING_S = 5.0
"""A comment at least this often, so that proxies keep the connection."""

SOON_S = 0.25
"""How long a stream waits for an early refusal, which can then still have its own status."""


class Job(Generic[T]):
    """Work in the background with its progress in tokens; must be cancelled by whoever made it."""

    def __init__(self, work: Callable[[Callable[[int], None]], Awaitable[T]]) -> None:
        self._changed = asyncio.Event()
        self.tokens = 0
        self.task = asyncio.ensure_future(work(self._progress))
        self.task.add_done_callback(lambda _: self._changed.set())

    def _progress(self, tokens: int) -> None:
        self.tokens = tokens
        self._changed.set()

    async def started(self) -> None:
        """Wait a moment; raises what the work raised if it failed at once."""
        await asyncio.wait([self.task], timeout=SOON_S)
        if self.task.done():
            self.task.result()

    async def progress(self) -> AsyncIterator[int]:
        """Tokens so far, whenever they change or a ping is due, until the work is done."""
        while not self.task.done():
            with suppress(TimeoutError):
                async with asyncio.timeout(PING_S):
                    await self._changed.wait()
            self._changed.clear()
            if not self.task.done():
                yield self.tokens

    async def cancel(self) -> None:
        """Stop the work if it is still going on."""
        self.task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await self.task


def data(value: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients ignore."""
    return f": {text}\n\n".encode()


DONE = b"data: [DONE]\n\n"


def pieces(text: str) -> list[str]:
    """The text in words with the space before them: joined, they are the text."""
    return re.findall(r"\s*\S+|\s+\Z", text)


class EventStream(Response):
    """An ASGI response that sends events and stops its source when the client goes away."""

    def __init__(self, events: AsyncIterator[bytes], ended: Callable[[], Awaitable[None]] | None = None) -> None:
        """``ended`` is awaited in any case, also when the client left before the first event was asked for."""
        super().__init__(media_type="text/event-stream")
        self._ended = ended
        del self.headers["content-length"]
        self.headers.update({"cache-control": "no-store", "x-accel-buffering": "no"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the source ends or the client is gone."""
        sender = asyncio.ensure_future(self._send(send))
        watcher = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait([sender, watcher], return_when=asyncio.FIRST_COMPLETED)
            if sender.done():
                sender.result()
        finally:
            for each in (sender, watcher):
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each
            if self._ended is not None:
                await self._ended()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async for chunk in self._events:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Exception as error:  # the status is sent already: the failure must travel in the stream
            await send({"type": "http.response.body", "body": data(as_api_error(error).body()), "more_body": True})
        finally:
            await _close(self._events)
        await send({"type": "http.response.body", "body": b""})


async def _close(events: AsyncIterator[bytes]) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
