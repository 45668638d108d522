"""The HTTP door: puts the endpoints together around one engine. Serving it is http_api_server.py's job."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from bot.doors import (
    http_api_chat,
    http_api_conversations,
    http_api_engine,
    http_api_errors,
    http_api_health,
    http_api_moderations,
    http_api_web,
)
from bot.doors.http_api_guard import Guard
from bot.doors.http_api_keys import KeyRing
from bot.doors.http_api_limits import Limits
from bot.doors.http_api_service import Service
from bot.doors.loopback import is_loopback
from bot.engine import ChatEngine
from bot.rating_form import DEFAULT_FORM, RatingForm
from bot.settings import Settings

ROUTERS = (
    http_api_chat.router,
    http_api_moderations.router,
    http_api_conversations.router,
    http_api_engine.router,
    http_api_health.router,
    http_api_web.router,
)


def make_service(engine: ChatEngine, settings: Settings, form: RatingForm = DEFAULT_FORM) -> Service:
    """What the endpoints share, made from the settings."""
    service = Service(
        engine,
        KeyRing(settings.api_keys_path, settings.api_key.get_secret_value()),
        Limits(requests_per_minute=settings.http_requests_per_minute, at_once=settings.http_at_once),
        settings.reply_timeout_s,
        form,
        local=is_loopback(settings.host),
    )
    service.metrics.watch(engine.responder)
    return service


def make_app(service: Service) -> FastAPI:
    """The application without its outer layer."""
    app = FastAPI(
        title="Chinwag",
        version=_version(),
        summary="A chatbot behind OpenAI's API, with conversations that the server can keep.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service = service
    http_api_errors.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app


def guarded(app: FastAPI, settings: Settings) -> Guard:
    """The whole application, ready to be served."""
    service: Service = app.state.service
    origins = frozenset(origin.strip() for origin in settings.http_origins.split(",") if origin.strip())
    inner = (
        CORSMiddleware(
            app,
            allow_origins=sorted(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
        if origins
        else app
    )
    return Guard(
        inner,
        service.metrics,
        max_body=settings.http_max_body_kb * 1024,
        read_timeout_s=settings.http_read_timeout_s,
        origins=origins,
        local_only=service.keyless,
    )


def _version() -> str:
    try:
        return version("chinwag")
    except PackageNotFoundError:
        return "0"
