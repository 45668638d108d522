"""``chinwag serve``: the chatbot behind OpenAI's HTTP API, with a chat page at ``/``."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on; others than loopback need keys")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0: any free one")] = None,
    model: Annotated[str | None, typer.Option(help="Name, checkpoint folder or hub id; see: chinwag models")] = None,
    persona: Annotated[str | None, typer.Option(help="Who the bot is: a card's name or a .toml file")] = None,
    preset: Annotated[str | None, typer.Option(help="How to decode: beam, blenderbot, meena, greedy …")] = None,
) -> None:
    """Serve the bot over HTTP until Ctrl-C or SIGTERM; what is under way is finished first."""
    import asyncio

    from bot.cli.forms import form_of
    from bot.cli.logs import set_up_logging
    from bot.cli.needs import need
    from bot.settings import load_settings

    need("fastapi", "uvicorn", "prometheus_client", extra="serve")
    settings = load_settings(host=host, port=port, model=model, persona=persona, preset=preset)
    set_up_logging(settings.log_level)
    from bot.doors.http_api_server import serve as run

    asyncio.run(run(settings, form=form_of(ctx), say=lambda line: typer.echo(line, err=True)))
