"""What breaks underneath the API, and that it goes on answering."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from pathlib import Path

from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator, until

CHAT = {"messages": [{"role": "user", "content": "Hello there"}]}


def kill_model_thread() -> None:
    """Raise SystemExit inside the thread that owns the model."""
    (thread,) = [each for each in threading.enumerate() if each.name == "chinwag-model"]
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


async def test_a_killed_model_thread_costs_one_reply_and_no_more(tmp_path: Path) -> None:
    generator = FakeGenerator(steps=50, step_s=0.01)
    async with running_api(tmp_path, generator) as api, api.http() as client:
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
        await until(lambda: len(generator.live) == 1)
        kill_model_thread()
        hit = (await asking).json()
        assert hit["chinwag"]["source"] == "fallback"
        after = await client.post("/v1/chat/completions", json=CHAT)
        assert after.json()["chinwag"]["source"] == "model"
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_model_that_fails_on_one_message_answers_the_others(tmp_path: Path) -> None:
    generator = FakeGenerator()
    generator.fail = lambda request: "poison" in request.conversation.turns[-1].text
    async with running_api(tmp_path, generator) as api, api.http() as client:
        texts = ["Hello there", "this is poison", "How are you"]
        asked = [
            client.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": text}]})
            for text in texts
        ]
        sources = [answer.json()["chinwag"]["source"] for answer in await asyncio.gather(*asked)]
        assert sources == ["model", "fallback", "model"]
