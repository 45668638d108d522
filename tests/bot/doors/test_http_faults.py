"""What breaks underneath the API, and that it goes on answering."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from pathlib import Path

from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator, holding, until

CHAT = {"messages": [{"role": "user", "content": "Hello there"}]}


def kill_model_thread() -> None:
    """Raise SystemExit inside the thread that owns the model."""
    (thread,) = [each for each in threading.enumerate() if each.name == "chinwag-model"]
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


async def test_a_killed_model_thread_costs_one_reply_and_no_more(tmp_path: Path) -> None:
    generator = holding()
    async with running_api(tmp_path, generator) as api, api.http() as client:
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
        await until(lambda: api.service.engine.responder.batcher.live == 1)
        kill_model_thread()
        hit = (await asking).json()
        generator.let_go()
        assert hit["chinwag"]["source"] == "fallback"
        after = await client.post("/v1/chat/completions", json=CHAT)
        assert after.json()["chinwag"]["source"] == "model"
        assert (await client.get("/health/ready")).status_code == 200


async def test_a_message_that_could_not_be_answered_in_time_gets_429_and_when_to_come_back(tmp_path: Path) -> None:
    generator = FakeGenerator(room=1)
    async with running_api(tmp_path, generator, max_batch=1, reply_timeout_s=300.0) as api, api.http() as client:
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        generator.hold()
        for _ in range(30):  # a model that takes forty seconds a reply: five of them fit into the time there is
            api.service.engine.responder.admission.learn(40.0, 1)
        asked = [asyncio.create_task(client.post("/v1/chat/completions", json=CHAT)) for _ in range(15)]
        await until(lambda: sum(task.done() for task in asked) >= 9)
        generator.let_go()
        answers = await asyncio.gather(*asked)
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) >= 9 and {answer.status_code for answer in answers} == {200, 429}
        for answer in refused:
            assert answer.json()["error"]["code"] == "overloaded" and int(answer.headers["Retry-After"]) >= 1
        metrics = (await client.get("/metrics")).text
        assert "chinwag_expected_seconds" in metrics and 'chinwag_refusals_total{reason="429"}' in metrics


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
