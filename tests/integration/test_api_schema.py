"""The API against its own OpenAPI description: generated requests, none of which may break the server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator

schemathesis = pytest.importorskip("schemathesis", reason="no schemathesis: pip install schemathesis")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The API's address, served by a thread of its own, because schemathesis asks synchronously."""
    folder: Path = tmp_path_factory.mktemp("api")
    started, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with running_api(folder, FakeGenerator(steps=1), http_requests_per_minute=10**6) as api:
            found.append(api.url)
            started.set()
            await asyncio.to_thread(stop.wait)

    with ExitStack() as stack:
        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        assert started.wait(60)
        yield found[0]


def test_no_request_breaks_the_server_and_errors_keep_their_form(url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()

        @given(case=operation.as_strategy())
        @settings(max_examples=6, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            nonlocal tried
            tried += 1
            response = case.call()
            assert response.status_code < 500 or response.status_code in (503, 504), response.text
            if response.status_code >= 400 and "/health" not in case.operation.path:
                assert set(response.json()["error"]) == {"message", "type", "param", "code"}

        check()
    assert tried > 50


def test_the_description_covers_every_endpoint(url: str) -> None:
    import httpx

    paths = set(httpx.get(f"{url}/openapi.json", timeout=20).json()["paths"])
    wanted = {
        "/v1/models", "/v1/chat/completions", "/v1/completions", "/v1/moderations", "/v1/ratings", "/health/ready",
        "/health/live", "/metrics", "/engine/reply",
    }  # fmt: skip
    assert wanted <= paths
