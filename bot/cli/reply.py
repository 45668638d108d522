"""``chinwag reply``: many conversations in, a file of replies out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bot.settings import Settings

app = typer.Typer()


@app.command()
def reply(
    contexts: Annotated[Path, typer.Option(help='JSON Lines of {"id", "context": ["…", …], "persona": name or facts}')],
    out: Annotated[Path, typer.Option(help="Where the replies go; a file begun before is taken up again")],
    model: Annotated[str | None, typer.Option(help="Name, checkpoint folder or hub id; see: chinwag models")] = None,
    persona: Annotated[str | None, typer.Option(help="Persona of lines that name none")] = None,
    preset: Annotated[str | None, typer.Option(help="How to decode: beam, blenderbot, meena, greedy …")] = None,
    seed: Annotated[int, typer.Option(help="Makes sampled replies repeatable")] = 0,
    trace: Annotated[bool, typer.Option("--trace", help="Show each reply's candidates and why the winner won")] = False,
) -> None:
    """Answer many conversations at once, in batches; an interrupted run goes on where it stopped."""
    import asyncio

    from bot.cli.logs import set_up_logging
    from bot.settings import load_settings

    settings = load_settings(model=model, persona=persona, preset=preset)
    set_up_logging(settings.log_level)
    asyncio.run(_run(settings, contexts, out, seed, trace))


async def _run(settings: Settings, contexts: Path, out: Path, seed: int, trace: bool) -> None:
    from rich.console import Console
    from rich.progress import Progress

    from bot.batch import Output, Row, answer_all, made_by, read_rows
    from bot.bootstrap import open_responder
    from bot.doors.why import explain
    from bot.exchange import Reply
    from dialogue.persona_cards import load_persona

    rows = read_rows(contexts, load_persona(settings.persona))
    console = Console(stderr=True)
    async with open_responder(settings, lambda line: console.print(line, style="dim")) as responder:
        config = responder.decoding(settings.preset or None, seed)
        output = Output(out, made_by(responder, config, contexts, settings.persona, seed))
        with Progress(console=console) as progress:
            bar = progress.add_task("replies", total=len(rows), completed=output.done)

            def on_answer(row: Row, reply: Reply) -> None:
                progress.advance(bar)
                if trace:
                    progress.console.print(f"\n{row.id}: {row.context[-1]}", markup=False)
                    progress.console.print(explain(reply))

            at_once = 2 * settings.max_batch  # keeps the live batch full while the oldest row is being written
            await answer_all(
                rows, responder, config, output, seed=seed, at_once=min(at_once, settings.max_queue),
                timeout_s=max(settings.reply_timeout_s, 600.0), on_answer=on_answer,
            )  # fmt: skip
