"""The commands ``chinwag safety explain|judge|train|report``: they translate words on the command line, and no more."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Explain, judge, train and report on the safety filter.")

PolicyOption = Annotated[Path | None, typer.Option(help="A policy file laid over the shipped one.")]
EncoderOption = Annotated[bool, typer.Option("--encoder", help="Add the pair encoder, where it is installed.")]


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help="The text to judge.")],
    context: Annotated[list[str] | None, typer.Option(help="An earlier turn; repeat, oldest first.")] = None,
    speaker: Annotated[str, typer.Option(help="Who says it: user or bot.")] = "user",
    policy: PolicyOption = None,
    encoder: EncoderOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Say what the filter would do with a text, and why."""
    from safety.explain import explain_json, explain_table
    from safety.filter import load_filter
    from safety.judge import request

    asked = request({"text": text, "context": context or None, "speaker": speaker}, "the command line")
    safety = load_filter(policy, encoder=encoder)
    if as_json:
        typer.echo(explain_json(safety, asked))
    else:
        explain_table(safety, asked)


@app.command()
def judge(
    source: Annotated[Path, typer.Option("--input", help='Lines of {"text", "context", "speaker", "lang"}.')],
    out: Annotated[Path, typer.Option("--output", help="Where the verdicts go, line by line in the same order.")],
    policy: PolicyOption = None,
    encoder: EncoderOption = False,
) -> None:
    """Judge a file of texts: one JSON object a line in, one out."""
    from safety.filter import load_filter
    from safety.judge import judge_file

    count = judge_file(load_filter(policy, encoder=encoder), source, out)
    typer.echo(f"{count} lines judged: {out}", err=True)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="A folder of labelled lines, .jsonl or .jsonl.zst.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("linear.npz"),
    ordinary: Annotated[
        list[Path] | None, typer.Option(help="A file of ordinary talk, for thresholds; repeat for more.")
    ] = None,
) -> None:
    """Train the linear model; a tenth of every file is held out, another calibrates."""
    from safety.training.card import write_card
    from safety.training.fit import train as fit

    model = fit(data, out, ordinary or (), lambda line: typer.echo(line, err=True))
    card = write_card(model, data, ordinary or (), out.with_suffix(".md"))
    typer.echo(f"Model: {out}; card: {card}", err=True)


@app.command("train-encoder")
def train_encoder(
    data: Annotated[Path, typer.Option(help="A folder of labelled lines, .jsonl or .jsonl.zst.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")] = Path("encoder.npz"),
    ordinary: Annotated[list[Path] | None, typer.Option(help="A file of ordinary talk; repeat for more.")] = None,
    base: Annotated[Path | None, typer.Option(help="The base model's folder, if not the extra's package.")] = None,
    epochs: Annotated[float, typer.Option(min=0.001, help="Passes over the rows.")] = 1.42,
) -> None:
    """Fine-tune the pair encoder; cut off, the same command goes on where it stood."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from safety.training.encoder import train_encoder as fit
    from safety.training.encoder_card import write_card

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("fine-tuning")

        def on_step(step: int, steps: int, loss: float) -> None:
            bar.update(task, completed=step, total=steps, description=f"loss {loss:.3f}")

        fit(data, out, ordinary or (), base, epochs, on_step, bar.console.print)
    card = write_card(out, data, ordinary or (), out.with_suffix(".md"))
    typer.echo(f"Model: {out}; card: {card}", err=True)


@app.command()
def report(
    data: Annotated[Path, typer.Option(help="The folder of labelled lines; only held-out rows are measured.")],
    out: Annotated[Path, typer.Option(help="The page to write.")] = Path("safety-report.html"),
    ordinary: Annotated[list[Path] | None, typer.Option(help="A file of ordinary talk; repeat for more.")] = None,
    must_catch: Annotated[list[Path] | None, typer.Option(help="A file of lines that must be caught.")] = None,
    policy: PolicyOption = None,
    encoder: EncoderOption = False,
) -> None:
    """Measure the filter on held-out rows and write one page with curves and tables."""
    from safety.filter import load_filter
    from safety.training.report import write_report

    safety = load_filter(policy, encoder=encoder)
    write_report(safety, data, ordinary or (), must_catch or (), out)
    typer.echo(f"Report: {out}", err=True)
