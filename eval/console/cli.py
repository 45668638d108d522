"""``chinwag console``: start the rating console, invite raters, import and export. Loads no Streamlit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from eval.ssa.database import RatingDatabase

app = typer.Typer(help="Rate replies: the SSA console.", invoke_without_command=True)

Database = Annotated[str | None, typer.Option("--database", help="Database URL; default: CHINWAG_DATABASE_URL.")]
Base = Annotated[str, typer.Option("--url", help="Address of the console as raters reach it.")]


@app.callback()
def console(
    context: typer.Context,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for the whole network.")] = "127.0.0.1",
    url: Annotated[str | None, typer.Option(help="Address raters use, when it is another one.")] = None,
    database: Database = None,
) -> None:
    """Start the console. It prints the owner's link; raters get theirs under Set-up."""
    if context.invoked_subcommand is None:
        _serve(port, address, url or f"http://{'localhost' if address == '127.0.0.1' else address}:{port}", database)


@app.command()
def invite(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    rater: Annotated[str | None, typer.Option(help="Name of the rater; without one the link is for a group.")] = None,
    kind: Annotated[str, typer.Option(help="person, or language model")] = "person",
    url: Base = "http://localhost:8501",
    database: Database = None,
) -> None:
    """Print a link for one rater, or one that a whole group may use."""
    from eval.console.access import guest_pass, link, rater_pass
    from eval.ssa.studies import join, study_named

    with _opened(database) as ratings:
        own = study_named(ratings, study)
        what = guest_pass(own.id)
        if rater is not None:
            what = rater_pass(own.id, join(ratings, own.id, rater, kind=kind).id)
        typer.echo(link(url, ratings.signing_key, what))


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(help="JSON Lines (.jsonl, .jsonl.zst) or CSV files.")],
    study: Annotated[str, typer.Option(help="Name of the study; made when there is none.")],
    kind: Annotated[str, typer.Option(help="static, interactive or pairwise; for a new study.")] = "static",
    raters: Annotated[int, typer.Option(help="Raters per item; for a new study.")] = 5,
    replies: Annotated[int | None, typer.Option(help="Draw so many replies of each system at random.")] = None,
    per_talk: Annotated[int | None, typer.Option(help="At most so many replies of one conversation.")] = None,
    bot: Annotated[str | None, typer.Option(help="Speaker to rate, where the file does not say.")] = None,
    seed: Annotated[int, typer.Option(help="Makes the draw repeatable.")] = 0,
    database: Database = None,
) -> None:
    """Put conversations into a study."""
    from eval.ssa.importing import import_talks, sample
    from eval.ssa.protocol import Kind
    from eval.ssa.studies import StudySettings, create_study, studies
    from eval.ssa.transcripts import read_talks

    talks = [talk for path in files for talk in read_talks(path, bot=bot)]
    with _opened(database) as ratings:
        known = {one.name: one for one in studies(ratings)}
        own = known.get(study) or create_study(ratings, study, Kind(kind), StudySettings(raters_per_item=raters))
        done = import_talks(ratings, own.id, sample(talks, replies=replies, per_talk=per_talk, seed=seed))
    typer.echo(
        f"{done.talks} conversations with {done.replies} replies, {done.gold} gold items and {done.votes} votes; "
        f"{done.known} were there before."
    )


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="File to write: .jsonl or .csv; never overwritten.")],
    study: Annotated[str, typer.Option(help="Name of the study.")],
    database: Database = None,
) -> None:
    """Write a study with its labels; raters appear as numbers."""
    from dialogue.errors import UserError
    from eval.ssa.exporting import export_csv, export_jsonl
    from eval.ssa.studies import study_named

    if out.exists():
        raise UserError(f"{out} exists; name another file.")
    with _opened(database) as ratings:
        write = export_csv if out.suffix == ".csv" else export_jsonl
        out.write_text(write(ratings, study_named(ratings, study).id), encoding="utf-8")
    typer.echo(f"Written: {out}")


@app.command()
def results(
    study: Annotated[str, typer.Option(help="Name of the study.")],
    database: Database = None,
) -> None:
    """Print the result of a study with its intervals and its departures from the protocol."""
    from rich.console import Console
    from rich.table import Table

    from eval.console.pages import departure_lines, system_rows
    from eval.ssa.results import results as read
    from eval.ssa.studies import study_named

    with _opened(database) as ratings:
        found = read(ratings, study_named(ratings, study).id)
    rows = system_rows(found, "en")
    table = Table(*(rows[0] if rows else ["nothing rated yet"]), title=f"{found.study.name}: {found.name}")
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    screen = Console()
    screen.print(table)
    for line in departure_lines(found):
        screen.print(line, markup=False)


def _opened(database: str | None) -> _Opened:
    from eval.ssa.database import open_ratings

    return _Opened(open_ratings(_url(database)))


class _Opened:
    def __init__(self, ratings: RatingDatabase) -> None:
        self.ratings = ratings

    def __enter__(self) -> RatingDatabase:
        return self.ratings

    def __exit__(self, *_: object) -> None:
        self.ratings.close()


def _url(given: str | None) -> str:
    from bot.settings import load_settings

    return given or load_settings().database


def _serve(port: int, address: str, base_url: str, database: str | None) -> None:
    """Become Streamlit: this process is replaced, so that signals and exit codes are Streamlit's own."""
    import os
    import sys
    from importlib.util import find_spec
    from urllib.parse import urlsplit

    from dialogue.errors import MissingExtra
    from eval.console.access import link, owner_pass

    if find_spec("streamlit") is None:
        raise MissingExtra("The console needs Streamlit", "console")
    url = _url(database)
    with _opened(url) as ratings:
        typer.echo(f"Owner's link (keep it to yourself): {link(base_url, ratings.signing_key, owner_pass())}")
    script = Path(__file__).with_name("app.py")
    options = {
        "server.port": port, "server.address": address, "server.headless": "true",
        # its own name: without one Streamlit asks a server on the internet for this machine's address
        "browser.serverAddress": urlsplit(base_url).hostname or "localhost",
        "server.fileWatcherType": "none", "browser.gatherUsageStats": "false", "client.toolbarMode": "viewer",
        "client.showErrorDetails": "none", "server.enableXsrfProtection": "true",
        "theme.light.backgroundColor": "#ffffff", "theme.dark.backgroundColor": "#121212",
        "theme.light.primaryColor": "#2f5d62", "theme.dark.primaryColor": "#8fc1b5",
        "theme.baseRadius": "0.6rem",
    }  # fmt: skip
    flags = [f"--{name}={value}" for name, value in options.items()]
    os.environ["CHINWAG_DATABASE_URL"] = url
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(script), *flags, "--", base_url])
