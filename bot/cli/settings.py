"""``chinwag settings``: every setting, its value and where it came from."""

from __future__ import annotations

import typer

app = typer.Typer()


@app.command()
def settings() -> None:
    """Print every setting, its value and where it came from; secrets are hidden."""
    from rich.console import Console
    from rich.table import Table

    from bot.settings import describe, load_settings

    table = Table(box=None, header_style="bold")
    table.add_column("setting", no_wrap=True)
    for column in ("value", "comes from", "meaning"):
        table.add_column(column, overflow="fold")
    for variable, value, origin, meaning in describe(load_settings()):
        table.add_row(variable, value, origin, meaning)
    Console().print(table)
