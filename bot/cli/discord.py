"""``chinwag discord``: the bot on Discord."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def discord(
    ctx: typer.Context,
    model: Annotated[str | None, typer.Option(help="Name, checkpoint folder or hub id; see: chinwag models")] = None,
    persona: Annotated[str | None, typer.Option(help="Who the bot is: a card's name or a .toml file")] = None,
    preset: Annotated[str | None, typer.Option(help="How to decode: beam, blenderbot, meena, greedy …")] = None,
    engine_url: Annotated[str | None, typer.Option(help="Answer through these `chinwag serve` addresses")] = None,
) -> None:
    """Answer on Discord until Ctrl-C or SIGTERM. Needs CHINWAG_DISCORD_TOKEN; docs/discord.md has the five minutes."""
    import asyncio

    from bot.cli.forms import form_of
    from bot.cli.logs import set_up_logging
    from bot.cli.needs import need
    from bot.settings import load_settings

    need("discord", extra="discord")
    settings = load_settings(model=model, persona=persona, preset=preset, engine_url=engine_url)
    set_up_logging(settings.log_level)
    from bot.doors.discord_run import run_discord

    asyncio.run(run_discord(settings, form_of(ctx), lambda line: typer.echo(line, err=True)))
