"""``chinwag chat``: in a terminal a conversation with commands, in a pipe a line in and a line out."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def chat(
    model: Annotated[str | None, typer.Option(help="Name, checkpoint folder or hub id; see: chinwag models")] = None,
    persona: Annotated[str | None, typer.Option(help="Who the bot is: a card's name or a .toml file")] = None,
    preset: Annotated[str | None, typer.Option(help="How to decode: beam, blenderbot, meena, greedy …")] = None,
    seed: Annotated[int | None, typer.Option(help="Makes sampled replies repeatable")] = None,
    json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, nothing else on standard output")
    ] = False,
) -> None:
    """Talk to the bot. Without a terminal each line of standard input is a message and each reply a line."""
    import asyncio
    import sys

    from bot.cli.logs import set_up_logging
    from bot.settings import load_settings

    settings = load_settings(model=model, persona=persona, preset=preset)
    set_up_logging(settings.log_level)
    if sys.stdin.isatty() and sys.stdout.isatty() and not json:
        from bot.doors.terminal import run_terminal

        asyncio.run(run_terminal(settings, persona=persona, seed=seed))
    else:
        from bot.doors.pipe import run_pipe

        asyncio.run(run_pipe(settings, persona=persona, seed=seed, as_json=json))
