"""The door for pipes: each line of standard input is a message, each reply a line of standard output."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import CancelledError
from typing import Any

from bot.bootstrap import open_engine
from bot.exchange import Engine, IncomingMessage, Reply
from bot.settings import Settings
from dialogue.errors import DialogueError, UserError
from dialogue.turns import ConversationKey, PersonKey

HERE = ConversationKey("terminal", "local")
ME = PersonKey("terminal", "local")


async def run_pipe(settings: Settings, *, persona: str | None, seed: int | None, as_json: bool) -> None:
    """Answer every line until standard input ends. Progress goes to standard error."""
    async with open_engine(settings, lambda line: print(line, file=sys.stderr)) as engine:  # noqa: T201
        async for line in _lines():
            text = line.rstrip("\r\n")
            answer = await _answer(engine, text, settings.reply_timeout_s, persona, seed)
            sys.stdout.write((json.dumps(answer, ensure_ascii=False) if as_json else one_line(answer["reply"])) + "\n")
            sys.stdout.flush()


async def _answer(engine: Engine, text: str, timeout_s: float, persona: str | None, seed: int | None) -> dict[str, Any]:
    """The reply as a JSON-ready value; a message that cannot be answered gets its sentence in place of a reply."""
    deadline = time.monotonic() + timeout_s
    try:
        reply = await engine.reply(IncomingMessage(HERE, ME, text, deadline, persona=persona, seed=seed))
    except (UserError, DialogueError) as error:
        return {"reply": str(error), "source": "error", "action": "refuse", "seconds": {}}
    return as_dict(reply)


def as_dict(reply: Reply) -> dict[str, Any]:
    """``{"reply", "source", "action", "seconds": {stage: s}}``; the action is the stricter of both sides' verdicts."""
    return {
        "reply": reply.turn.text,
        "source": str(reply.source),
        "action": str(max(reply.verdict_in.action, reply.verdict_out.action)),
        "seconds": {stage: round(seconds, 6) for stage, seconds in reply.seconds.items()},
    }


def one_line(text: str) -> str:
    """A reply on one line, whatever it holds."""
    return " ".join(text.split())


async def _lines() -> AsyncIterator[str]:
    """Lines of standard input, read by a thread of its own that never holds up the program's end.

    The thread reads the file descriptor itself: a daemon thread that held the buffered reader's lock would crash the
    interpreter's shutdown.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1)
    stdin = sys.stdin.fileno()

    def put(line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()

    def read() -> None:
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop ended before the input did
            rest = b""
            while chunk := os.read(stdin, 1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    put(line.decode("utf-8", "replace"))
            if rest:
                put(rest.decode("utf-8", "replace"))
            put(None)

    threading.Thread(target=read, name="chinwag-stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
