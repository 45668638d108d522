"""``chinwag evaluate``: run, compare, correlate, selfchat, safety, memorisation. Options in, a call, files out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from eval.offline.answerer import Work
    from eval.offline.suite import Suite

app = typer.Typer(no_args_is_help=True, help="Measure models, decoders and personas; every number with its interval.")

Out = Annotated[Path, typer.Option(help="Folder for the results; an interrupted run goes on where it stopped")]
Model = Annotated[str | None, typer.Option(help="Name, checkpoint folder or hub id; see: chinwag models")]
Preset = Annotated[str | None, typer.Option(help="How to decode: beam, blenderbot, meena, greedy …")]
Seed = Annotated[int, typer.Option(help="Makes sampled replies and intervals repeatable")]
Data = Annotated[Path | None, typer.Option(help="Folder with the files that the suite names")]
Threads = Annotated[int | None, typer.Option(help="Processor threads; default: all cores")]


@app.callback()
def evaluate() -> None:
    """Measure models, decoders and personas; every number with its interval."""


@app.command()
def run(
    out: Out,
    suite: Annotated[
        str, typer.Option(help="smoke, standard, ranking, release, or a .toml file of your own")
    ] = "smoke",
    model: Model = None,
    preset: Preset = None,
    persona: Annotated[str | None, typer.Option(help="Persona card; default: the suite's")] = None,
    data: Data = None,
    contexts: Annotated[
        list[Path] | None, typer.Option(help="JSON Lines of your own in place of the suite's files")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many items, evenly spread; 0: all")] = 0,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Processes, each with a model of its own")] = 1,
    ray: Annotated[
        str | None, typer.Option(help="Use the Ray cluster at this address (“auto”: the one around)")
    ] = None,
    tracking: Annotated[Path | None, typer.Option(help="correlations.json of `evaluate correlate` to quote")] = None,
    threads: Threads = None,
) -> None:
    """Answer and score a suite's contexts; write report.html, report.md and report.json."""
    from dataclasses import replace

    from dialogue.decoding.config import preset as check_preset
    from eval.offline.run_report import report_run
    from eval.offline.runner import Plan
    from eval.offline.suite import load_items, load_suite
    from eval.offline.tracking import load_tracking

    if preset:
        check_preset(preset)
    chosen = load_suite(suite)
    chosen = chosen if persona is None else replace(chosen, persona=persona)
    found, quoted, console = load_items(chosen, data, contexts or (), limit), load_tracking(tracking), _console()
    work = _work(chosen, model, preset, seed, threads)
    plan = Plan(chosen, found.items, found.hashes, work, out, workers, ray)
    data_made = report_run(out, chosen, _with_progress(plan, console), quoted)
    for name, metric in data_made["metrics"].items():
        console.print(f"{name:24} {_shown(metric['overall'])}", highlight=False)
    console.print(f"Report: {out / 'report.html'}")


def _work(suite: Suite, model: str | None, preset: str | None, seed: int, threads: int | None) -> Work:
    from eval.offline.answerer import Work

    settings = {name: value for name, value in (("model", model), ("threads", threads)) if value is not None}
    pmi = any(name.endswith("_pmi") for name in suite.metrics)
    return Work(settings, suite.persona, preset, seed, suite.score, pmi, {})


def _with_progress(plan: Any, console: Console) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from eval.offline.runner import run as run_plan

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, Any] = {}

        def on_progress(stage: str, count: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=len(plan.items))
            progress.advance(bars[stage], count)

        return run_plan(plan, on_progress, lambda line: progress.console.print(line, style="dim"))


def _console() -> Console:
    from rich.console import Console

    from bot.cli.logs import set_up_logging
    from bot.settings import load_settings

    set_up_logging(load_settings().log_level)
    return Console(stderr=True)


def _shown(estimate: dict[str, Any]) -> str:
    from eval.report import with_interval

    return with_interval(estimate)
