"""``chinwag database upgrade | check | backup``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Upgrade, check and back up the history database.", no_args_is_help=True)

Address = Annotated[str | None, typer.Option("--database", help="Database URL; default: CHINWAG_DATABASE_URL.")]


@app.command()
def upgrade(database: Address = None) -> None:
    """Make the tables, or bring older ones up to date; an older SQLite file is copied first."""
    from bot.history.database import upgrade as run

    done = run(_url(database))
    if done.before == done.after:
        typer.echo(f"Up to date: schema {done.after}.")
        return
    typer.echo(f"Upgraded from schema {done.before or '(empty)'} to {done.after}.")
    if done.backup:
        typer.echo(f"The database as it was: {done.backup}")


@app.command()
def check(database: Address = None) -> None:
    """Check that the database is whole and up to date, and count what it holds. Status 1 when something is wrong."""
    from rich.console import Console
    from rich.table import Table

    from bot.history.database import check as run

    found = run(_url(database))
    table = Table("table", "rows", title=f"Schema {found.revision or '(none)'}, {found.size_bytes / 1e6:.1f} MB")
    table.columns[1].justify = "right"
    for name, rows in found.rows.items():
        table.add_row(name, f"{rows:,}")
    Console().print(table)
    typer.echo(f"{found.name}: {'sound and up to date.' if not found.problems else 'something is wrong.'}")
    for problem in found.problems:
        typer.echo(f"  {problem}")
    if found.problems:
        raise typer.Exit(1)


@app.command()
def backup(
    to: Annotated[
        Path | None, typer.Argument(help="File or folder; default: beside the database, with the time.")
    ] = None,
    database: Address = None,
) -> None:
    """Copy the database while it is in use: SQLite with its key file, PostgreSQL by pg_dump. Overwrites nothing."""
    from bot.history.database import backup as run

    typer.echo(f"Backup written: {run(_url(database), to)}")


def _url(given: str | None) -> str:
    from bot.settings import load_settings

    return given or load_settings().database
