"""The rating form a door asks with: handed in by the program as ``ctx.obj["rating_form"]``, or the bot's own."""

from __future__ import annotations

from collections.abc import Mapping

import typer

from bot.rating_form import DEFAULT_FORM, RatingForm


def form_of(ctx: typer.Context) -> RatingForm:
    """The form that chinwag.py handed in; see bot/rating_form.py."""
    make = ctx.obj.get("rating_form") if isinstance(ctx.obj, Mapping) else None
    handed = make() if make else None
    return handed if isinstance(handed, RatingForm) else DEFAULT_FORM
