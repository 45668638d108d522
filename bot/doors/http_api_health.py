"""Is it alive, is it ready, how is it doing: for orchestrators and Prometheus. Nothing here needs the model."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Security
from fastapi.responses import JSONResponse, Response

from bot.doors.http_api_keys import ApiKey
from bot.doors.http_api_schemas import Json
from bot.doors.http_api_service import Allowed, Here, Service
from bot.doors.metrics import CONTENT_TYPE
from dialogue.errors import ChinwagError

router = APIRouter(tags=["Operations"])
_PROBE_SCOPE = "chinwag:health"
_PROBE_S = 3.0


@router.get("/health/live")
async def live() -> Json:
    """The process answers. Restart it when this fails."""
    return {"status": "ok"}


@router.get("/health/ready", responses={503: {"description": "Not ready; the body says why"}})
async def ready(service: Here) -> Response:
    """The model thread runs, the history answers, nobody is shutting down. Send no messages while this fails."""
    checks = {
        "accepting": "shutting down" if service.draining else "ok",
        "model": "ok" if service.engine.responder.batcher.alive else "the model thread is not running",
        "history": await _history(service),
    }
    fine = all(state == "ok" for state in checks.values())
    return JSONResponse({"status": "ok" if fine else "unavailable", "checks": checks}, 200 if fine else 503)


async def _history(service: Service) -> str:
    try:
        async with asyncio.timeout(_PROBE_S):
            await asyncio.to_thread(service.engine.store.settings, _PROBE_SCOPE)
    except TimeoutError:
        return "the history does not answer in time"
    except ChinwagError:
        return "the history cannot be read"
    return "ok"


@router.get("/metrics", response_class=Response)
async def metrics(service: Here, caller: Annotated[ApiKey, Security(Allowed("metrics"))]) -> Response:
    """Counts and times in Prometheus's text format."""
    return Response(service.metrics.text(), media_type=CONTENT_TYPE)
