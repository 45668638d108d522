"""Keys, limits, sizes, times, foreign web pages, health and metrics of the HTTP API."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from pathlib import Path

import httpx
import pytest

from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_keys import ApiKey, KeyRing, add_key, digest_of, read_keys, revoke_key
from bot.doors.http_api_limits import Limits
from bot.doors.http_api_server import refuse_open_door
from bot.doors.loopback import is_loopback
from bot.history.memory_store import MemoryStore
from dialogue.errors import StorageError, UnknownName, UserError
from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator, holding, until

CHAT = {"model": "fake", "messages": [{"role": "user", "content": "Hello there"}]}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_with_keys_nobody_gets_in_without_one(tmp_path: Path) -> None:
    path = tmp_path / "api-keys.toml"
    secret = add_key(path, "laptop", frozenset({"chat"}), None)
    async with running_api(tmp_path) as api, api.http() as client:
        for headers in ({}, bearer("cw-wrong"), {"Authorization": "Basic abc"}):
            refused = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
            assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        assert (await client.post("/v1/chat/completions", json=CHAT, headers=bearer(secret))).status_code == 200
        forbidden = await client.post("/v1/moderations", json={"input": "x"}, headers=bearer(secret))
        assert forbidden.status_code == 403 and forbidden.json()["error"]["code"] == "missing_scope"
        assert (await client.get("/metrics", headers=bearer(secret))).status_code == 403
        revoke_key(path, "laptop")
        add_key(path, "other", frozenset({"chat"}), None)
        assert (await client.post("/v1/chat/completions", json=CHAT, headers=bearer(secret))).status_code == 401


async def test_one_key_cannot_reach_the_conversations_of_another(tmp_path: Path) -> None:
    first, second = (add_key(tmp_path / "api-keys.toml", name, frozenset({"chat"}), None) for name in ("a", "b"))
    async with running_api(tmp_path) as api, api.http() as client:
        done = await client.post("/v1/chat/completions", json={**CHAT, "conversation": "x"}, headers=bearer(first))
        rating = {"conversation": "x", "reply": done.json()["id"], "label": "liked", "value": 1}
        assert (await client.get("/v1/conversations/x", headers=bearer(second))).json()["turns"] == []
        assert (await client.post("/v1/ratings", json=rating, headers=bearer(second))).status_code == 404
        assert (await client.post("/v1/ratings", json=rating, headers=bearer(first))).status_code == 200


def test_the_key_file_keeps_hashes_only_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "keys.toml"
    secret = add_key(path, "laptop", frozenset({"chat", "engine"}), 7)
    assert secret not in path.read_text() and path.stat().st_mode & 0o077 == 0
    assert read_keys(path) == (ApiKey("laptop", digest_of(secret), frozenset({"chat", "engine"}), 7),)
    with pytest.raises(UserError, match="revoke"):
        add_key(path, "laptop", frozenset({"chat"}), None)
    with pytest.raises(UnknownName, match="laptop"):
        revoke_key(path, "labtop")


@pytest.mark.parametrize(
    "text", ["keys = 3", "[keys.a]\nsha256 = 'xx'\nscopes = ['chat']", "[keys.a]\nscopes = []", "=", "[keys]\na = 1"]
)
def test_a_wrong_key_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"keys\.toml"):
        KeyRing(path).keys()


def test_every_key_is_looked_at_whether_or_not_one_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "keys.toml"
    secrets = [add_key(path, f"k{i}", frozenset({"chat"}), None) for i in range(5)]
    looked: list[str] = []

    def compare(a: str, b: str) -> bool:
        looked.append(a)
        return a == b

    monkeypatch.setattr("hmac.compare_digest", compare)
    ring = KeyRing(path)
    for secret in (secrets[0], secrets[4], "cw-none"):
        looked.clear()
        ring.find(secret)
        assert len(looked) == 5


def test_a_key_that_asks_too_much_is_told_how_long_to_wait() -> None:
    clock = [0.0]
    limits = Limits(requests_per_minute=60, at_once=2, clock=lambda: clock[0])
    key = ApiKey("a", "", frozenset(), 6)
    for _ in range(6):
        limits.take(key)
    with pytest.raises(ApiError) as refused:
        limits.take(key)
    assert refused.value.status == 429 and refused.value.headers()["Retry-After"] == "10"
    limits.take(ApiKey("b", "", frozenset()))
    clock[0] += 10.0
    limits.take(key)
    with limits.under_way(key), limits.under_way(key), pytest.raises(ApiError), limits.under_way(key):
        pass
    with limits.under_way(key):
        pass


async def test_limits_hold_over_the_wire_and_are_freed_again(tmp_path: Path) -> None:
    async with running_api(tmp_path, http_requests_per_minute=3) as api, api.http() as client:
        answers = [await client.post("/v1/chat/completions", json=CHAT) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["Retry-After"]) > 0 and answers[-1].json()["error"]["type"] == "rate_limit_error"
    generator = FakeGenerator()
    async with running_api(tmp_path, generator, http_at_once=2) as api, api.http() as client:
        for _ in range(2):
            generator.hold()
            asked = [asyncio.create_task(client.post("/v1/chat/completions", json=CHAT)) for _ in range(5)]
            await until(lambda: sum(task.done() for task in asked) == 3)  # noqa: B023 - done before the next round
            generator.let_go()
            answers = await asyncio.gather(*asked)
            assert sorted(answer.status_code for answer in answers) == [200, 200, 429, 429, 429]


async def test_an_engine_key_has_no_limit_but_its_own(tmp_path: Path) -> None:
    names = {"own": 2, "none": None}
    keys = {name: add_key(tmp_path / "api-keys.toml", name, frozenset({"engine"}), n) for name, n in names.items()}
    reset = {"door": "discord", "place": "dm:1"}
    async with running_api(tmp_path, http_requests_per_minute=1) as api, api.http() as client:
        seen = {
            name: [(await client.post("/engine/reset", json=reset, headers=bearer(key))).status_code for _ in range(4)]
            for name, key in keys.items()
        }
    assert seen == {"own": [200, 200, 429, 429], "none": [200] * 4}


def test_without_keys_only_loopback_is_served() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.1"):
        refuse_open_door(host, has_keys=False)
    for host in ("0.0.0.0", "::", "192.168.1.4", "example.org"):
        assert not is_loopback(host)
        refuse_open_door(host, has_keys=True)
        with pytest.raises(UserError, match="chinwag keys new"):
            refuse_open_door(host, has_keys=False)


async def test_revoking_the_last_key_of_a_public_server_locks_it_and_does_not_open_it(tmp_path: Path) -> None:
    secret = add_key(tmp_path / "api-keys.toml", "laptop", frozenset({"chat"}), None)
    async with running_api(tmp_path, host="0.0.0.0") as api, api.http() as client:
        assert (await client.post("/v1/chat/completions", json=CHAT, headers=bearer(secret))).status_code == 200
        revoke_key(tmp_path / "api-keys.toml", "laptop")
        for headers in ({}, bearer(secret), {"Host": "localhost"}, {"Host": "127.0.0.1"}):
            refused = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
            assert refused.status_code == 401, headers
        assert len(api.generator.admitted) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_a_key_file_that_breaks_keeps_everybody_out_and_tells_no_path(tmp_path: Path, host: str) -> None:
    secret = add_key(tmp_path / "api-keys.toml", "laptop", frozenset({"chat"}), None)
    async with running_api(tmp_path, host=host) as api, api.http() as client:
        (tmp_path / "api-keys.toml").write_text("[keys.laptop", encoding="utf-8")
        refused = await client.post("/v1/chat/completions", json=CHAT, headers=bearer(secret))
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "keys"
        assert "api-keys" not in refused.text and api.generator.admitted == []


async def test_a_web_page_from_elsewhere_cannot_use_a_keyless_server(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            refused = await client.post("/v1/chat/completions", json=CHAT, headers=headers)
            assert refused.status_code == 403, headers
            assert "access-control-allow-origin" not in refused.headers
        form = await client.post(
            "/v1/chat/completions", content=json.dumps(CHAT), headers={"Content-Type": "text/plain"}
        )
        assert form.status_code in (400, 415) and api.generator.admitted == []
        own = await client.post("/v1/chat/completions", json=CHAT, headers={"Origin": api.url})
        assert own.status_code == 200


async def test_origins_that_were_allowed_may_call(tmp_path: Path) -> None:
    async with running_api(tmp_path, http_origins="https://ui.example, https://b.example") as api, api.http() as client:
        headers = {"Origin": "https://ui.example", "Access-Control-Request-Method": "POST"}
        preflight = await client.options("/v1/chat/completions", headers=headers)
        assert preflight.headers["access-control-allow-origin"] == "https://ui.example"
        done = await client.post("/v1/chat/completions", json=CHAT, headers={"Origin": "https://ui.example"})
        assert done.status_code == 200 and done.headers["access-control-allow-origin"] == "https://ui.example"


async def test_a_request_that_is_too_large_is_refused_announced_or_not(tmp_path: Path) -> None:
    async def chunks(size: int) -> object:
        for _ in range(size // 1024):
            yield b" " * 1024

    async with running_api(tmp_path, http_max_body_kb=16) as api, api.http() as client:
        announced = await client.post("/v1/chat/completions", content=b"x" * 20_000)
        streamed = await client.post("/v1/chat/completions", content=chunks(40_960))  # type: ignore[arg-type]
        for refused in (announced, streamed):
            assert refused.status_code == 413 and refused.json()["error"]["code"] == "request_too_large"


async def test_slow_clients_are_hung_up_on_and_others_are_served_meanwhile(tmp_path: Path) -> None:
    start = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    body = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    async with running_api(tmp_path, http_read_timeout_s=3.0) as api, api.http() as client:
        port = int(api.url.rsplit(":", 1)[1])
        drips = []
        for number in range(30):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write((b"", start, start + body)[number % 3])
            drips.append((reader, writer))
        assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        for number, (reader, writer) in enumerate(drips):
            async with asyncio.timeout(90):
                rest = await reader.read()
            assert (b" 408 " in rest) == (number % 3 == 2)
            writer.close()


async def test_who_comes_when_all_places_are_taken_is_refused_in_the_form_of_every_refusal(tmp_path: Path) -> None:
    async with running_api(tmp_path, http_max_connections=2) as api, api.http() as first, api.http() as second:
        for client in (first, second):
            assert (await client.get("/health/live")).status_code == 200
        async with api.http() as third:
            refused = await third.get("/health/live")
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "overloaded"
        assert int(refused.headers["Retry-After"]) >= 1 and refused.headers["Connection"] == "close"
        assert (await first.get("/health/live")).status_code == 200


async def test_requests_carry_an_id_from_end_to_end_and_logs_no_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "chinwag")
    async with running_api(tmp_path) as api, api.http() as client:
        given = await client.post("/v1/chat/completions", json=CHAT, headers={"X-Request-ID": "abc-1"})
        made = await client.post("/v1/chat/completions", json=CHAT, headers={"X-Request-ID": "no good"})
        assert given.headers["X-Request-ID"] == "abc-1" and len(made.headers["X-Request-ID"]) == 16
    lines = [json.loads(record.message) for record in caplog.records if record.name == "chinwag.http"]
    assert lines[0]["id"] == "abc-1" and lines[0]["status"] == 200 and lines[0]["route"] == "/v1/chat/completions"
    assert "Hello there" not in caplog.text and "You said" not in caplog.text


async def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    class Shaky(MemoryStore):
        broken = False

        def settings(self, scope: object) -> dict[str, object]:
            if self.broken:
                raise StorageError("gone")
            return {}

    store = Shaky()
    async with running_api(tmp_path, store=store) as api, api.http() as client:
        assert (await client.get("/health/live")).json() == {"status": "ok"}
        assert (await client.get("/health/ready")).status_code == 200
        store.broken = True
        broken = await client.get("/health/ready")
        assert broken.status_code == 503 and "history" in broken.json()["checks"]["history"]
        assert (await client.get("/health/live")).status_code == 200
        store.broken = False
        await api.service.engine.responder.batcher.close()
        assert "model" in (await client.get("/health/ready")).json()["checks"]["model"]


async def test_metrics_count_what_happened(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        await client.post("/v1/chat/completions", json=CHAT)
        await client.post("/v1/chat/completions", json={**CHAT, "model": "no"})
        text = (await client.get("/metrics")).text
    assert 'chinwag_replies_total{door="http",source="model"} 1.0' in text
    assert 'chinwag_requests_total{route="/v1/chat/completions",status="404"} 1.0' in text
    assert 'chinwag_stage_seconds_count{stage="decode"} 1.0' in text
    assert "chinwag_queue_waiting 0.0" in text and "chinwag_model_alive 1.0" in text
    assert "Hello" not in text


async def test_a_server_that_is_told_to_stop_finishes_what_it_began(tmp_path: Path) -> None:
    generator = holding()
    async with running_api(tmp_path, generator) as api, api.http() as client:
        asking = asyncio.create_task(client.post("/v1/chat/completions", json=CHAT))
        await until(lambda: len(generator.live) == 1)
        api.server.should_exit = True
        await until(lambda: not api.server.servers[0].is_serving())
        generator.let_go()
        assert (await asking).status_code == 200
        with pytest.raises(httpx.ConnectError):
            await client.post("/v1/chat/completions", json=CHAT)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[" * 30_000, b"null", b"\xff\xfe", b'{"messages": 1}', b'{"model": "fake", "messages": [{}]}',
     b'{"model": "fake", "messages": [{"role": "user", "content": "\\u0000"}]}',
     b'{"model": "fake", "n": 1e999, "messages": [{"role": "user", "content": "a"}]}'],
)  # fmt: skip
async def test_nonsense_gets_a_400_in_openais_form(tmp_path: Path, content: bytes) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        answer = await client.post(
            "/v1/chat/completions", content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400, answer.text
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


async def test_a_form_in_place_of_json_and_a_path_that_does_not_exist_are_told_plainly(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api, api.http() as client:
        form = await client.post("/v1/chat/completions", data={"messages": "Hello"})
        assert form.status_code == 400 and "application/json" in form.json()["error"]["message"]
        missing = await client.post("/v1/embeddings", json={"input": "Hello"})
        assert missing.status_code == 404 and "POST /v1/embeddings" in missing.json()["error"]["message"]
        wrong = await client.get("/v1/chat/completions")
        assert wrong.status_code == 405 and "GET /v1/chat/completions" in wrong.json()["error"]["message"]


async def test_a_closed_port_is_freed(tmp_path: Path) -> None:
    async with running_api(tmp_path) as api:
        port = int(api.url.rsplit(":", 1)[1])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
