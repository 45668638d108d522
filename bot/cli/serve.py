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
    ray: Annotated[bool, typer.Option("--ray", help="Deploy replicas on Ray Serve")] = False,
    replicas: Annotated[int, typer.Option(min=1, help="With --ray: replicas at least")] = 2,
    max_replicas: Annotated[int, typer.Option(min=0, help="With --ray: replicas under load; 0: no more")] = 0,
    ray_address: Annotated[str | None, typer.Option(help="With --ray: a running cluster to join")] = None,
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

    def say(line: str) -> None:
        typer.echo(line, err=True)

    if ray:
        need("ray", extra="ray")
        from bot.doors.ray_serve import serve_on_ray

        most = max_replicas or replicas
        asyncio.run(
            serve_on_ray(settings, replicas=replicas, most=most, say=say, address=ray_address, form=form_of(ctx))
        )
        return
    from bot.doors.http_api_server import serve as run

    asyncio.run(run(settings, form=form_of(ctx), say=say))
