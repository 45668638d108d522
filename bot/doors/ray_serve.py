"""The HTTP door on Ray Serve: any number of replicas of the same application, started and replaced by Ray.

Each replica is a whole engine with its own batches; Ray spreads requests over them and scales with the requests under
way. History and order live in the database, which must be PostgreSQL as soon as there are several replicas.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.bootstrap import open_engine
from bot.doors.http_api import guarded, make_app, make_service
from bot.doors.http_api_keys import KeyRing
from bot.doors.http_api_server import refuse_open_door
from bot.doors.signals import stopping
from bot.rating_form import DEFAULT_FORM, RatingForm
from bot.settings import Settings
from dialogue.errors import UserError

log = logging.getLogger("chinwag.http")
NAME = "chinwag"


class LateApp:
    """An ASGI application that is made when the replica starts: engines cannot travel from process to process."""

    def __init__(self, values: dict[str, Any], form: RatingForm = DEFAULT_FORM) -> None:
        self._values, self._form = values, form
        self._inner: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on to the application, which lives as long as ``lifespan``."""
        assert self._inner is not None, "requests come after the start"
        await self._inner(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Open the engine, and close it when Ray stops the replica."""
        settings = Settings(**self._values)
        async with open_engine(settings) as engine:
            self._inner = guarded(make_app(make_service(engine, settings, self._form)), settings)
            yield


def replica_app(values: dict[str, Any], form: RatingForm = DEFAULT_FORM) -> Starlette:
    """The application of one replica."""
    late = LateApp(values, form)
    return Starlette(routes=[Mount("/", app=late)], lifespan=late.lifespan)


def deployment(settings: Settings, replicas: int, most: int, form: RatingForm = DEFAULT_FORM) -> Any:
    """The Ray Serve application: ``replicas`` at first and at least, ``most`` under load."""
    from ray import serve

    values = portable(settings)

    def build() -> Starlette:
        return replica_app(values, form)

    scaling: dict[str, Any] = (
        {
            "autoscaling_config": {
                "min_replicas": replicas,
                "max_replicas": most,
                "target_ongoing_requests": settings.max_batch,
            }
        }
        if most > replicas
        else {"num_replicas": replicas}
    )
    engine_class = serve.ingress(build)(type("ChinwagEngine", (), {}))
    options: dict[str, Any] = {
        "name": NAME, "max_ongoing_requests": settings.max_queue + settings.max_batch, "health_check_period_s": 5.0,
    }  # fmt: skip
    return serve.deployment(**options, **scaling)(engine_class).bind()


def portable(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, secrets included: they travel to the replicas only."""
    values = settings.model_dump()
    for name in ("person_key", "api_key", "discord_token"):
        values[name] = values[name].get_secret_value()
    return {**values, "data_folder": str(settings.data_folder)}


async def serve_on_ray(
    settings: Settings,
    *,
    replicas: int,
    most: int,
    say: Callable[[str], None],
    address: str | None = None,
    form: RatingForm = DEFAULT_FORM,
) -> None:
    """Deploy and stay until SIGTERM or SIGINT; then take the replicas down. ``address`` joins a running cluster."""
    import ray
    from ray import serve

    if most < replicas:
        raise UserError(f"--max-replicas {most} is below --replicas {replicas}.")
    refuse_open_door(
        settings.host, has_keys=bool(KeyRing(settings.api_keys_path, settings.api_key.get_secret_value()).keys())
    )
    if most > 1 and not settings.database.startswith("postgres"):
        say("Several replicas without PostgreSQL: no turn is lost, but quick messages may be answered out of order.")
    joined = {"address": address} if address else {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    await asyncio.to_thread(lambda: ray.init(log_to_driver=False, **joined))
    try:
        try:
            serve.start(http_options={"host": settings.host, "port": settings.port})
            app = deployment(settings, replicas, most, form)
            await asyncio.to_thread(lambda: serve.run(app, name=NAME, route_prefix="/"))
        except TimeoutError:  # Ray's own limits, of a minute or less
            raise UserError(
                "Ray's own processes did not start in time; try again when the machine is less busy."
            ) from None
        say(f"Serving on Ray with {replicas} replicas at http://{settings.host}:{settings.port}   (Ctrl-C stops)")
        told = asyncio.Event()
        with stopping(told.set):
            await told.wait()
    finally:
        await asyncio.to_thread(serve.shutdown)
        ray.shutdown()
