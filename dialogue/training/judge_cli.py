"""``chinwag judge``: judged replies in, a judge that helps weights to choose what they say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, help="Train a judge of replies for trained weights.")


@app.command()
def judge(
    weights: Annotated[Path, typer.Argument(help="Folder of trained weights; the judge goes there.", file_okay=False)],
    replies: Annotated[Path, typer.Option(help="Judged replies (JSON Lines).", dir_okay=False)],
    out: Annotated[Path, typer.Option(help="The run's folder: checkpoint, log.", file_okay=False)] = Path("runs/judge"),
    minutes: Annotated[float, typer.Option(help="Budget of training time; also sets the schedule.")] = 30.0,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 3e-4,
    rank: Annotated[int, typer.Option(help="Rank of the corrections.", min=1)] = 16,
    first: Annotated[int, typer.Option(help="First decoder block with corrections; -1: the upper half.", min=-1)] = -1,
    seed: Annotated[int, typer.Option(help="Seed of corrections and order.")] = 0,
    threads: Annotated[int | None, typer.Option(help="Processor threads.", min=1)] = None,
) -> None:
    """Learn from judged replies which of a reply's candidates is the better one, and go on after a stop."""
    import torch
    from rich.console import Console

    from dialogue.training.judge_run import train_judge
    from dialogue.training.judging import JudgeSettings
    from dialogue.training.progress import Bar
    from dialogue.training.train import TrainSettings

    if threads:
        torch.set_num_threads(threads)
    console = Console(stderr=True)
    training = TrainSettings(minutes=minutes, learning_rate=learning_rate)
    settings = JudgeSettings(first=first, rank=rank, seed=seed, train=training)
    with Bar(console) as bar:
        train_judge(weights, replies, out, settings, lambda line: console.print(line, highlight=False), bar)
