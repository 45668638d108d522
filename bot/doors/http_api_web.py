"""The chat page at ``/``: three static files that call the API like any other client."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parent / "web"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page() -> Response:
    """The page itself."""
    return _file("index.html")


@router.get("/chat.js")
async def script() -> Response:
    """Its script."""
    return _file("chat.js")


@router.get("/chat.css")
async def style() -> Response:
    """Its looks."""
    return _file("chat.css")


def _file(name: str) -> Response:
    return FileResponse(FOLDER / name, headers=_HEADERS)
