"""Optional parts: one clear sentence when the libraries of a door are not installed."""

from __future__ import annotations

from importlib.util import find_spec

from dialogue.errors import UserError


def need(*modules: str, extra: str) -> None:
    """UserError naming the extra to install unless all these modules can be imported."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise UserError(f"This needs {', '.join(missing)}: run `pip install 'chinwag[{extra}]'`.")
