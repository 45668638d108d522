"""The outer ASGI layer: request ids, logs and metrics without a word of text, size and time limits, foreign web pages.

A keyless server listens on loopback only; a web page from elsewhere could still make a browser call it, so the Host
must then be this machine and the Origin, where there is one, the page's own or a configured one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.doors.http_api_errors import ApiError, as_api_error
from bot.doors.metrics import Metrics
from bot.doors.wordless import wordless
from bot.request_id import is_request_id, request_id

log = logging.getLogger("chinwag.http")
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Guard:
    """Wraps the application; ``local_only`` says whether the server is without keys at this moment."""

    app: ASGIApp
    metrics: Metrics
    max_body: int
    read_timeout_s: float
    origins: frozenset[str]
    local_only: Callable[[], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, send)
        token = request_id.set(exchange.id)
        started = time.perf_counter()
        try:
            await self._passed_on(scope, receive, exchange)
        finally:
            self._note(scope, exchange, time.perf_counter() - started)
            request_id.reset(token)

    async def _passed_on(self, scope: Scope, receive: Receive, exchange: _Exchange) -> None:
        try:
            self._check(scope)
            body = await self._body(scope, receive)
            await self.app(scope, _replayed(body, receive), exchange.send)
        except Exception as error:
            refusal = as_api_error(error)
            if refusal.status == 500:
                log.error("request %s failed: %s", exchange.id, type(error).__name__, exc_info=wordless(error))
            if not exchange.status:
                await refusal.response()(scope, receive, exchange.send)

    def _check(self, scope: Scope) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self.local_only() and _host_name(host) not in LOOPBACK:
            raise ApiError(403, "This server has no keys and answers to this machine only.", code="foreign_host")
        origin = headers.get("origin")
        if origin and urlsplit(origin).netloc != host and origin not in self.origins:
            raise ApiError(403, "Web pages of this origin may not call this server.", code="foreign_origin")
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) > self.max_body:
            raise self._too_large()

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, within its limits of size and time."""
        chunks, size = [], 0
        try:
            async with asyncio.timeout(self.read_timeout_s):
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ApiError(499, "The client went away.", code="cancelled")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > self.max_body:
                        raise self._too_large()
                    more = message.get("more_body", False)
        except TimeoutError:
            raise ApiError(408, "The request was sent too slowly.", code="request_timeout") from None
        return b"".join(chunks)

    def _too_large(self) -> ApiError:
        return ApiError(413, f"The request is larger than {self.max_body // 1024} KiB.", code="request_too_large")

    def _note(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "(none)")
        status = exchange.status or 499
        self.metrics.requests.labels(route, str(status)).inc()
        self.metrics.latency.labels(route).observe(seconds)
        if status in (429, 503):
            self.metrics.refusals.labels(str(status)).inc()
        line = {
            "event": "request", "id": exchange.id, "method": scope["method"], "route": route, "status": status,
            "ms": round(1000 * seconds, 1), "key": scope.get("state", {}).get("key_name", "-"),
        }  # fmt: skip
        log.info("%s", json.dumps(line))


class _Exchange:
    """One request's answer on its way out: adds the id, remembers the status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        given = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")
        self.id = given if is_request_id(given) else secrets.token_hex(8)
        self.status = 0
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), (b"x-request-id", self.id.encode())]
            message = {**message, "headers": [*headers, (b"x-content-type-options", b"nosniff")]}
        await self._send(message)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read, then whatever comes: that is the client going away."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
