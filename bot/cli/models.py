"""``chinwag models``: what can be had and what is on disk."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def models(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs")] = False,
) -> None:
    """List the models that can be had by name, where they come from, and which need no download."""
    from dialogue.models.catalogue import CATALOGUE, default_name, is_on_disk

    rows = [
        {
            "name": entry.name,
            "default": entry.name == default_name(),
            "on_disk": is_on_disk(entry),
            "megabytes": entry.megabytes,
            "licence": entry.licence,
            "languages": sorted(entry.languages),
            "origin": entry.origin,
            "about": entry.summary,
        }
        for entry in CATALOGUE.values()
    ]
    _print_json(rows) if json else _print_table(rows)


def _print_json(rows: list[dict[str, object]]) -> None:
    import json

    for row in rows:
        typer.echo(json.dumps(row, ensure_ascii=False))


def _print_table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "on disk", "download", "licence", "about", box=None, header_style="bold", expand=False)
    for row in rows:
        name = f"{row['name']} (default)" if row["default"] else str(row["name"])
        table.add_row(name, "yes" if row["on_disk"] else "–", f"{row['megabytes']} MB", row["licence"], row["about"])  # type: ignore[arg-type]
    console = Console()
    console.print(table)
    console.print(
        "Any folder or hub id of a seq2seq or GPT-like checkpoint works too: chinwag chat --model FOLDER", style="dim"
    )
