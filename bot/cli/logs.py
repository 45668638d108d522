"""Logging for every command: to standard error, one line an event, never the text of a message."""

from __future__ import annotations

import logging

from bot.request_id import WithRequestId
from dialogue.errors import UnknownName

LEVELS = ("debug", "info", "warning", "error")


def set_up_logging(level: str) -> None:
    """Log the program's own events from ``level`` on; libraries only from warnings on."""
    if level.lower() not in LEVELS:
        raise UnknownName("log level", level, LEVELS)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(request)s%(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(WithRequestId())
    logging.getLogger("chinwag").setLevel(level.upper())
