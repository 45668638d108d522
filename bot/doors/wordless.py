"""An unforeseen error as a log may show it: where it happened and of what kind, never its words."""

from __future__ import annotations


def wordless(error: BaseException) -> Exception:
    """The error with its trace but not its words, which may quote a message."""
    return RuntimeError(type(error).__name__).with_traceback(error.__traceback__)
