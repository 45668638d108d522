"""Serves the HTTP door: sockets, slow clients, signals, draining. Endpoints are http_api*.py's job."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from bot.bootstrap import open_engine
from bot.doors.http_api import guarded, make_app, make_service
from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_keys import KeyRing
from bot.doors.loopback import is_loopback
from bot.doors.signals import stopping
from bot.rating_form import DEFAULT_FORM, RatingForm
from bot.settings import Settings
from dialogue.errors import UserError

log = logging.getLogger("chinwag.http")
DRAIN_S = 20


async def serve(
    settings: Settings,
    *,
    form: RatingForm = DEFAULT_FORM,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Answer until SIGTERM or SIGINT; then finish what is under way for at most DRAIN_S seconds."""
    ring = KeyRing(settings.api_keys_path, settings.api_key.get_secret_value())
    refuse_open_door(settings.host, has_keys=bool(ring.keys()))
    listener = listen(settings.host, settings.port)
    with contextlib.closing(listener):
        async with open_engine(settings, say) as engine:
            service = make_service(engine, settings, form)
            server = Server(server_config(guarded(make_app(service), settings), settings))

            def stop() -> None:
                service.draining = True
                server.should_exit = True

            with stopping(stop):
                say(f"Serving {engine.responder.model.name} at {address(listener)}   (Ctrl-C stops)")
                await server.serve_on(listener)


class Server(uvicorn.Server):
    """uvicorn's server, started on a socket that is open already, leaving signals to the caller."""

    async def serve_on(self, listener: socket.socket) -> None:
        """Serve on this socket until ``should_exit``."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup([listener])
        if not self.should_exit:
            await self.main_loop()
        await self.shutdown([listener])


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that hangs up on a client which takes too long to send its first or next request line and headers, and
    refuses the requests of connections beyond ``most_connections``."""

    header_timeout_s = 10.0
    most_connections = 512
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self.app = crowded
        self._waiting = self.loop.call_later(self.header_timeout_s, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request is there, start it again for the next one."""
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._stop_clock()
        elif (self.cycle is None or self.cycle.response_complete) and self._waiting is None:
            self._waiting = self.loop.call_later(self.header_timeout_s, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more to wait for."""
        self._stop_clock()
        super().connection_lost(exc)

    def _stop_clock(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


async def crowded(scope: Any, receive: Any, send: Any) -> None:
    """The answer to whoever comes when all places are taken, in the form of every other refusal."""
    refusal = ApiError(
        503, "Too many clients are connected.", kind="overloaded_error", code="overloaded", retry_after_s=2.0
    ).response()
    refusal.headers["Connection"] = "close"
    await refusal(scope, receive, send)


def server_config(app: Any, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application: HTTP/1.1 only, no log of its own, patience as the settings say."""
    limits = {"header_timeout_s": settings.http_read_timeout_s, "most_connections": settings.http_max_connections}
    protocol = type("Patient", (PatientProtocol,), limits)
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=DRAIN_S,
        h11_max_incomplete_event_size=32 * 1024,
    )


def refuse_open_door(host: str, *, has_keys: bool) -> None:
    """UserError for an address that others can reach while nobody needs a key."""
    if not has_keys and not is_loopback(host):
        raise UserError(
            f"Without keys the server answers on this machine only, not on {host}: "
            "make a key with `chinwag keys new NAME`, or use --host 127.0.0.1."
        )


def listen(host: str, port: int) -> socket.socket:
    """An open socket; UserError when the address is taken or not ours."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
    except OSError as error:
        raise UserError(
            f"Port {port} on {host} cannot be used ({error.strerror}); choose another: --port N."
        ) from error
    return listener


def address(listener: socket.socket) -> str:
    """The URL of a socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
