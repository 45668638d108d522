"""Plots of a run: training loss and validation nats per word against time, from its ``log.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SMOOTH_OVER = 25


def read_log(path: Path) -> list[dict[str, Any]]:
    """The records of a run's log; a last line cut off by a kill is left out."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def smoothed(values: Sequence[float], over: int = SMOOTH_OVER) -> list[float]:
    """Means of each value and the ``over - 1`` before it."""
    return [sum(values[max(0, i - over + 1) : i + 1]) / min(i + 1, over) for i in range(len(values))]


def plot_curves(log: Path, picture: Path) -> None:
    """Draw ``picture`` (PNG or SVG, by its name)."""
    from matplotlib.figure import Figure

    records = read_log(log)
    steps = [r for r in records if "loss" in r]
    checks = [r for r in records if "valid" in r]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([r["seconds"] / 60 for r in steps], smoothed([r["loss"] for r in steps]), label="training, nats a token")
    for source in sorted({name for r in checks for name in r["valid"]}):
        points = [(r["seconds"] / 60, r["valid"][source]) for r in checks if source in r["valid"]]
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=f"{source}, nats a word")
    axes.set(xlabel="minutes of training", ylabel="loss")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(picture, dpi=120)
