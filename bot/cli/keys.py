"""``chinwag keys``: make, list and revoke keys of the HTTP API."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Make, list and revoke keys of the HTTP API.")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What the key is called: a-z, 0-9, - and _")],
    scope: Annotated[list[str] | None, typer.Option(help="chat, moderate, metrics or engine; repeatable")] = None,
    per_minute: Annotated[int | None, typer.Option(min=1, help="Requests a minute; none: the setting's")] = None,
) -> None:
    """Make a key and print it, once: only its hash is kept."""
    from bot.doors.http_api_keys import add_key, checked_scopes
    from bot.settings import load_settings

    scopes = checked_scopes(scope or ["chat", "moderate"])
    secret = add_key(load_settings().api_keys_path, name, scopes, per_minute)
    typer.echo(secret)
    typer.echo(f"Keep it now, it cannot be shown again. It may: {', '.join(sorted(scopes))}.", err=True)


@app.command("list")
def list_() -> None:
    """Show the names, scopes and limits of the keys."""
    from bot.doors.http_api_keys import read_keys
    from bot.settings import load_settings

    settings = load_settings()
    for key in read_keys(settings.api_keys_path):
        limit = key.requests_per_minute or settings.http_requests_per_minute
        typer.echo(f"{key.name}\t{','.join(sorted(key.scopes))}\t{limit} a minute")


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="The key's name")]) -> None:
    """Remove a key; a running server refuses it from the next request on."""
    from bot.doors.http_api_keys import revoke_key
    from bot.settings import load_settings

    revoke_key(load_settings().api_keys_path, name)
    typer.echo(f"Revoked {name}.", err=True)
