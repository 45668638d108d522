"""What every endpoint shares: the engine, the keys, the limits, and who is calling."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_keys import LOCAL, ApiKey, KeyRing
from bot.doors.http_api_limits import Limits
from bot.doors.metrics import Metrics
from bot.engine import ChatEngine
from bot.rating_form import DEFAULT_FORM, RatingForm
from dialogue.decoding.config import PRESETS
from dialogue.errors import Cancelled, UserError
from dialogue.turns import ConversationKey, PersonKey

log = logging.getLogger("chinwag.http")
T = TypeVar("T")
DOOR = "http"


@dataclass(slots=True)
class Service:
    """One running API."""

    engine: ChatEngine
    keys: KeyRing
    limits: Limits
    timeout_s: float
    form: RatingForm = DEFAULT_FORM
    metrics: Metrics = field(default_factory=Metrics)
    started: int = field(default_factory=lambda: int(time.time()))
    draining: bool = False
    local: bool = True
    """It listens on loopback only. Elsewhere nobody comes in without a key, also when the last key was revoked."""

    @property
    def model_name(self) -> str:
        """The name of the model that answers."""
        return self.engine.responder.model.name

    def preset_of(self, model: str) -> str | None:
        """The preset in ``NAME:preset``; ApiError 404 for a model that is not served."""
        if model in ("", "default", "chinwag", self.model_name):
            return None
        name, _, preset = model.rpartition(":")
        if name in ("default", "chinwag", self.model_name) and preset in PRESETS:
            return preset
        message = f"The model {model!r} is not served here; use {self.model_name!r}."
        raise ApiError(404, message, code="model_not_found", param="model")

    def keyless(self) -> bool:
        """Whether callers need no key at this moment; ApiError 503 while the key file cannot be read."""
        try:
            return not self.keys.keys() and self.local
        except UserError as error:
            log.error("keys: %s", error)
            raise ApiError(503, "The keys cannot be read right now.", kind="server_error", code="keys") from None

    def deadline(self) -> float:
        """When a request that begins now is given up."""
        return time.monotonic() + self.timeout_s


def service_of(request: Request) -> Service:
    """The service of the application that got this request."""
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(service_of)]
_bearer = HTTPBearer(auto_error=False, description="A key made by `chinwag keys new`")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


@dataclass(frozen=True, slots=True)
class Allowed:
    """A dependency: the caller's key, if it has the scope and keeps within its limits."""

    scope: str

    async def __call__(self, request: Request, service: Here, bearer: Bearer) -> AsyncIterator[ApiKey]:
        """Yield the key while the request lasts."""
        key = self.checked(service, bearer)
        request.state.key_name = key.name
        if self.scope == "engine":  # a door of ours: it limits its own people, and the queue is bounded anyway
            if key.requests_per_minute is not None:
                service.limits.take(key)
            yield key
            return
        service.limits.take(key)
        with service.limits.under_way(key):
            yield key

    def checked(self, service: Service, bearer: HTTPAuthorizationCredentials | None) -> ApiKey:
        """ApiError 401 without a valid key, 403 with one that may not do this."""
        if service.keyless():
            return LOCAL
        key = service.keys.find(bearer.credentials) if bearer else None
        if key is None:
            message = "A valid key is needed: Authorization: Bearer cw-…"
            raise ApiError(401, message, kind="authentication_error", code="invalid_api_key")
        if self.scope not in key.scopes:
            message = f"The key {key.name!r} has no scope {self.scope!r}."
            raise ApiError(403, message, kind="permission_error", code="missing_scope")
        return key


def place_of(key: ApiKey, conversation: str) -> ConversationKey:
    """A conversation belongs to the key it was made with: other keys cannot name it."""
    return ConversationKey(DOOR, f"{key.name}/{conversation}")


def person_of(key: ApiKey, user: str | None, conversation: str | None = None) -> PersonKey:
    """Who speaks: the request's ``user``, else whoever holds this conversation."""
    return PersonKey(DOOR, f"{key.name}/{user}" if user else f"{key.name}//{conversation or ''}")


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``, which is cancelled when the client goes away (then Cancelled is raised)."""
    task: asyncio.Future[T] = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(gone(request))
    try:
        both: list[asyncio.Future[Any]] = [task, watcher]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("The client went away.")
    finally:
        for each in (task, watcher):
            each.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await each


async def gone(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
