"""Every failure in OpenAI's form, ``{"error": {"message", "type", "param", "code"}}``, with the status that fits it."""

from __future__ import annotations

import logging
import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dialogue.errors import (
    Cancelled,
    ChinwagError,
    DeadlineExceeded,
    ModelError,
    Overloaded,
    StorageError,
    UserError,
    WaitTooLong,
)

log = logging.getLogger("chinwag.http")


class ApiError(Exception):
    """A refusal with everything a client needs to act on it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.code, self.param = status, message, kind, code, param
        self.retry_after_s = retry_after_s

    def body(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Retry-After in whole seconds where waiting helps; a client that was too slow is hung up on."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(max(1, math.ceil(self.retry_after_s)))}
        if self.status == 408:
            return {**headers, "Connection": "close"}
        return {**headers, "WWW-Authenticate": "Bearer"} if self.status == 401 else headers

    def response(self) -> JSONResponse:
        """The whole answer."""
        return JSONResponse(self.body(), self.status, self.headers())


def as_api_error(error: Exception) -> ApiError:
    """Our own errors as answers; anything unforeseen as a 500 that gives nothing away."""
    match error:
        case ApiError():
            return error
        case WaitTooLong():  # OpenAI's clients and front ends wait and ask again on 429
            return ApiError(
                429, str(error), kind="overloaded_error", code="overloaded", retry_after_s=error.retry_after_s
            )
        case Overloaded():
            return ApiError(
                503, str(error), kind="overloaded_error", code="overloaded", retry_after_s=error.retry_after_s
            )
        case DeadlineExceeded():
            return ApiError(504, str(error), kind="timeout_error", code="deadline_exceeded")
        case Cancelled():
            return ApiError(499, "The client went away.", code="cancelled")
        case UserError():
            return ApiError(400, str(error), code="invalid_value")
        case StorageError():
            message = "The conversation cannot be stored right now; nothing was lost. Try again in a moment."
            return ApiError(503, message, kind="server_error", code="storage", retry_after_s=5.0)
        case ModelError() | ChinwagError():
            return ApiError(500, str(error), kind="server_error", code="model")
    return ApiError(500, "The server had an error that we did not foresee.", kind="server_error", code="internal")


def install(app: FastAPI) -> None:
    """Teach the application to answer every failure in this form."""
    app.add_exception_handler(ApiError, _foreseen)
    app.add_exception_handler(ChinwagError, _foreseen)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


async def _foreseen(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, StorageError):
        log.error("storage: %s", error)
    return as_api_error(error).response()


async def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    return as_api_error(error).response()


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    """422 becomes 400 as OpenAI's clients expect; the offending value is not echoed, since it may be a message."""
    assert isinstance(error, RequestValidationError)
    kind = request.headers.get("content-type", "")
    if request.method in ("POST", "PUT") and "json" not in kind.partition(";")[0].lower():
        return ApiError(400, "Send JSON, and say so: Content-Type: application/json.", code="invalid_value").response()
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body") or None
    message = f"{where}: {first['msg']}" if where else str(first["msg"])
    return ApiError(400, message, code="invalid_value", param=where).response()


_CODES = {404: "not_found", 405: "method_not_allowed", 415: "unsupported_media_type"}


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    said = str(error.detail)
    if error.status_code in (404, 405):
        said = f"There is no {request.method} {request.url.path[:200]} here; GET /openapi.json lists what there is."
    answer = ApiError(error.status_code, said, code=_CODES.get(error.status_code))
    response = answer.response()
    response.headers.update(error.headers or {})
    return response
