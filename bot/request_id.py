"""The id of the request that is being worked on: the same in the caller's log, the engine's log and the answer."""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar

HEADER = "X-Request-ID"
NOBODY = "-"
request_id: ContextVar[str] = ContextVar("request_id", default=NOBODY)
_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


def is_request_id(text: str) -> bool:
    """Whether a caller's id may be used: short, and nothing that could forge a line of a log."""
    return _ID.fullmatch(text) is not None


class WithRequestId(logging.Filter):
    """Puts the id before a record's words as ``record.request``, nothing outside a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Lets every record through."""
        current = request_id.get()
        record.request = "" if current == NOBODY else f"[{current}] "
        return True
