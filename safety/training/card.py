"""The model card that lies beside a trained model: what it is, from what, how good on the held-out rows it names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from safety.detectors import discover
from safety.detectors.linear import LinearDetector
from safety.filter import SafetyFilter
from safety.linear_model import LinearModel
from safety.policy import shipped_policy
from safety.training.data import HELD_OUT, Row, read_rows
from safety.training.evaluate import area, calibration_error, judge_rows

_TEXT = """# The linear safety model

A multi-label logistic regression on hashed word and character n-grams, English and Korean, with a second layer for
replies in their context. Trained {day} by one run of `chinwag safety train` on {rows} labelled lines of {files}
files; a tenth of every file was held out by a hash of its talk, template or text, another tenth calibrated the
probabilities and thresholds. The overall score is mixed from experts, one a source; safety/linear_model.py says how.

* Text heads: {text_heads}
* Experts: {sources}
* Context heads: {context_heads}
* Ordinary talk for thresholds: {ordinary}
* Meant for: a first opinion on chat lines, beside rule lists, under a policy that a person can read. Not meant for:
  decisions about people. It sees surface forms only, has the biases of its sources (tweets chosen by slur words, one
  white-supremacist forum, Korean news comments) and knows little about 2020s slang.
* Languages: English and Korean; others get the English calibration and are hardly covered.
* Some sources are licensed CC BY-SA or CC BY; they are credited in docs/safety.md. None of their rows is part of the
  model file.

| file | rows | held out | AUC | calibration error |
| --- | --- | --- | --- | --- |
{table}
"""


def write_card(model: LinearModel, data: Path, ordinary: Sequence[Path], out: Path) -> Path:
    """Measure the model with all other detectors on held-out rows and write the card."""
    rows = read_rows(data)
    held = [row for row in rows if row.split == HELD_OUT]
    sizes = Counter(row.file for row in rows)
    text = _TEXT.format(
        day=datetime.now(UTC).date().isoformat(),
        rows=f"{len(rows):,}",
        files=len(sizes),
        text_heads=", ".join(model.text.heads),
        sources=", ".join(source.split()[1] for source in model.sources) or "none",
        context_heads=", ".join(model.context.heads),
        ordinary=", ".join(sorted(path.name.split(".")[0] for path in ordinary)) or "none but the harmless files",
        table="\n".join(_line(file, sizes[file], held, model) for file in sorted(sizes)),
    )
    out.write_text(text, encoding="utf-8")
    return out


def _line(file: str, size: int, held: Sequence[Row], model: LinearModel) -> str:
    mine = [row for row in held if row.file == file and "unsafe" in row.labels]
    judged = judge_rows(_filter(model), mine)
    targets, scores = [item.row.labels["unsafe"] for item in judged], [item.score for item in judged]
    auc = area(targets, scores)
    shown = "–" if auc != auc else f"{auc:.3f}"
    return f"| {file} | {size:,} | {len(mine):,} | {shown} | {calibration_error(targets, scores):.3f} |"


def _filter(model: LinearModel) -> SafetyFilter:
    """All detectors, the linear one with this very model."""
    policy = shipped_policy()
    others = [detector for detector in discover(policy=policy) if detector.name != "linear"]
    return SafetyFilter([*others, LinearDetector(model)], policy)
