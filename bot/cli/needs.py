"""Optional parts: one clear sentence when the libraries of a door are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from dialogue.errors import MissingExtra


def need(*modules: str, extra: str) -> None:
    """MissingExtra unless all these modules can be imported."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise MissingExtra(f"This needs {', '.join(missing)}", extra)
