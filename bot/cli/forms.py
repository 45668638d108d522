"""The rating form a door asks with: handed in by the program as ``ctx.obj``, or the bot's own."""

from __future__ import annotations

import typer

from bot.rating_form import DEFAULT_FORM, RatingForm


def form_of(ctx: typer.Context) -> RatingForm:
    """The form that chinwag.py handed in; see bot/rating_form.py."""
    handed = ctx.obj() if callable(ctx.obj) else ctx.obj
    return handed if isinstance(handed, RatingForm) else DEFAULT_FORM
