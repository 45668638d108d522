"""Plots as SVG text, to stand inside a report: no files, no network, no display.

Colours tell apart in print and for most kinds of colour blindness (Okabe and Ito 2008).
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#777777"


def _figure(width: float, height: float) -> Any:
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.hashsalt"] = "chinwag"  # equal numbers give equal files
    matplotlib.rcParams["svg.fonttype"] = "none"  # text as text: a tenth of the size, and it can be searched
    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any) -> str:
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")
    text = file.getvalue()
    return "\n".join(line.rstrip() for line in text[text.index("<svg") :].splitlines()) + "\n"


def intervals(rows: Sequence[tuple[str, float, float, float]], label: str, *, zero: bool = True) -> str:
    """(name, value, low, high) as points with their intervals, one below the other; ``zero`` draws a line at 0."""
    figure = _figure(7.0, 0.6 + 0.26 * max(len(rows), 1))
    axes = figure.subplots()
    for place, (_, value, low, high) in enumerate(rows):
        colour = GREY if low <= 0 <= high and zero else BLUE
        axes.plot([low, high], [place, place], color=colour, linewidth=2)
        axes.plot([value], [place], "o", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel(label, fontsize=9)
    if zero:
        axes.axvline(0, color="black", linewidth=0.6)
    axes.grid(axis="x", alpha=0.3)
    return _svg(figure)


def heat(table: Mapping[str, Mapping[str, float]], label: str) -> str:
    """Row -> column -> a correlation in [-1, 1], as a table of colours with the numbers in it."""
    columns = list(dict.fromkeys(column for row in table.values() for column in row))
    figure = _figure(1.6 + 0.9 * len(columns), 1.0 + 0.28 * len(table))
    axes = figure.subplots()
    values = [[row.get(column, float("nan")) for column in columns] for row in table.values()]
    axes.imshow(values, cmap="PuOr", vmin=-0.7, vmax=0.7, aspect="auto")
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            if value == value:
                axes.text(x, y, f"{value:+.2f}", ha="center", va="center", fontsize=7)
    axes.set_xticks(range(len(columns)), columns, rotation=30, ha="right", fontsize=7)
    axes.set_yticks(range(len(table)), list(table), fontsize=7)
    axes.set_title(label, fontsize=9)
    return _svg(figure)


def points(rows: Sequence[tuple[str, float, float]], x: str, y: str) -> str:
    """(name, x, y) as labelled points over a logarithmic x, with the least-squares line of three or more."""
    import numpy as np

    figure = _figure(6.0, 4.0)
    axes = figure.subplots()
    for name, across, up in rows:
        axes.plot([across], [up], "o", color=ORANGE)
        axes.annotate(name, (across, up), fontsize=7, xytext=(4, 4), textcoords="offset points")
    if len(rows) >= 3:
        places = np.array([row[1] for row in rows])
        slope, start = np.polyfit(np.log(places), [row[2] for row in rows], 1)
        places = np.geomspace(places.min(), places.max(), 50)
        axes.plot(places, start + slope * np.log(places), color=GREY, linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.grid(alpha=0.3)
    return _svg(figure)
