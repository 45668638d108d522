"""The benchmark's rows as bars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eval.bench.decode import Row

COLOURS = {"transformers": "#999999", "ctranslate2": "#5b8db8", "chinwag": "#d1622b"}


def draw_rows(rows: Sequence[Row], file: Path) -> None:
    """One panel a cell, one bar an engine: milliseconds per reply; a dashed mark where memory sets the floor."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cells = sorted({(row.shape, row.beam, row.batch) for row in rows})
    figure, panels = plt.subplots(1, len(cells), figsize=(3.2 * len(cells), 3.6), squeeze=False)
    for panel, cell in zip(panels[0], cells, strict=True):
        own = [row for row in rows if (row.shape, row.beam, row.batch) == cell]
        names = [f"{row.engine} {row.dtype}" for row in own]
        panel.barh(names, [row.ms_per_reply for row in own], color=[COLOURS[row.engine] for row in own])
        for place, row in enumerate(own):
            if row.floor_ms is not None:
                panel.plot([row.floor_ms, row.floor_ms], [place - 0.4, place + 0.4], "k--", linewidth=1)
        panel.invert_yaxis()
        panel.set_title(f"{cell[0]}\nbeam {cell[1]}, batch {cell[2]}", fontsize=9)
        panel.set_xlabel("ms per reply")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    plt.close(figure)
