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

    table = Table("setting", "value", "comes from", "meaning", box=None, header_style="bold")
    for variable, value, origin, meaning in describe(load_settings()):
        table.add_row(variable, value, origin, meaning)
    Console().print(table)
