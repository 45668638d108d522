"""The card that lies beside a trained pair encoder: what it is, from what, and whether it helps, file by file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from safety.detectors.linear import LinearDetector
from safety.detectors.pair_encoder import Blend, PairModel, load_pair
from safety.linear_model import shipped_model
from safety.training.data import HELD_OUT, Row, read_rows
from safety.training.encoder_blend import Logits, both_logits, thinned
from safety.training.evaluate import area

_TEXT = """# The pair encoder

Six transformer layers of 384, English, fine-tuned from all-MiniLM-L6-v2 (Apache-2.0, sentence-transformers; distilled
by Wang et al. 2020) by `chinwag safety train-encoder` and kept in int8; {day}. It reads a text (at most 72 word
pieces, of longer ones both ends) and, behind it, the last 32 of what it answers. Half of its weights, those of the
words, are the base model's.

* Fitted on rows of {files} English files (safety/training/encoder.py says how many of each), never on the tenth held
  out or the tenth that weighs it against the linear model.
* Ordinary talk for thresholds: {ordinary}
* Asked about replies of the bot, and about texts of which the linear model is unsure ({low:g} to {high:g}). Then
  the chance is a logistic function of both logits: {alone}; for replies {reply}.
* Meant for and not meant for: as the linear model's card says. Other languages never reach it.
* Credits and licences of the data: docs/safety.md. No row is part of the file.

AUC of the overall score on held-out rows (at most 600 of a file), the models by themselves, without rules:

| file | held out | linear | encoder | both |
| --- | --- | --- | --- | --- |
{table}
"""


def write_card(path: Path, data: Path, ordinary: Sequence[Path], out: Path) -> Path:
    """Measure a pair encoder on held-out rows, beside the shipped linear model, and write the card."""
    model = load_pair(path)
    rows = [row for row in read_rows(data) if row.lang == "en" and row.split == HELD_OUT and "unsafe" in row.labels]
    rows = thinned(rows)
    found = both_logits(rows, LinearDetector(shipped_model()), model, lambda line: None)
    text = _TEXT.format(
        day=datetime.now(UTC).date().isoformat(),
        files=len({row.file for row in rows}),
        ordinary=", ".join(sorted(path.name.split(".")[0] for path in ordinary)) or "none but the harmless files",
        low=model.alone.sure[0],
        high=model.alone.sure[1],
        alone=_formula(model.alone),
        reply=_formula(model.reply),
        table="\n".join(_lines(rows, found, model)),
    )
    out.write_text(text, encoding="utf-8")
    return out


def _formula(blend: Blend) -> str:
    return f"{blend.bias:.2f} + {blend.linear:.2f} linear + {blend.encoder:.2f} encoder"


def _lines(rows: Sequence[Row], found: Logits, model: PairModel) -> list[str]:
    lines = []
    for file in sorted({row.file for row in rows}):
        mine = np.array([row.file == file for row in rows], bool)
        targets = [row.labels["unsafe"] for row in rows if row.file == file]
        if len(set(targets)) < 2:
            continue
        linear, encoder, reply = found.linear[mine], found.encoder[mine], found.reply[mine]
        both = [
            (model.reply if r else model.alone).chance(float(a), float(b))
            for a, b, r in zip(linear, encoder, reply, strict=True)
        ]
        areas = " | ".join(f"{area(targets, list(map(float, scores))):.3f}" for scores in (linear, encoder, both))
        lines.append(f"| {file} | {len(targets):,} | {areas} |")
    return lines
