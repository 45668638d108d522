"""How the encoder's overall logit and the linear model's become one chance: fitted on rows neither was fitted on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety.detectors.linear import LinearDetector
from safety.detectors.pair_encoder import Blend, PairModel
from safety.judge import request
from safety.passage import Passage
from safety.training.data import Row
from safety.training.evaluate import CONTEXT_LABELS
from safety.training.fit import ordinary_files, row_weights, thresholds_of

Floats = NDArray[np.float32]
MOST = 600
"""Rows of a file that are looked at, at most: enough to weigh two models, or to measure them."""
_NONE = Blend(0.0, 1.0, 0.0, (0.95, 0.9, 0.8))


@dataclass(frozen=True)
class Logits:
    """Both overall logits of rows, (rows,) each, and which of the rows were judged as replies of the bot."""

    linear: Floats
    encoder: Floats
    reply: NDArray[np.bool_]


def thinned(rows: Sequence[Row]) -> list[Row]:
    """At most :data:`MOST` rows of each file, spread evenly, in order."""
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        by_file.setdefault(row.file, []).append(row)
    return [row for mine in by_file.values() for row in mine[:: max(1, math.ceil(len(mine) / MOST))]]


def both_logits(
    rows: Sequence[Row], linear: LinearDetector, model: PairModel, on_progress: Callable[[str], None]
) -> Logits:
    """What the two models say about rows: as replies where the labels are about replies, or where talk has a turn
    before.
    """
    about_replies = {row.file for row in rows if CONTEXT_LABELS & row.labels.keys()}
    calm = ordinary_files(rows)
    reply = np.array([bool(row.context) and row.file in about_replies | calm for row in rows], bool)
    out = np.zeros((len(rows), 2), np.float32)
    for at, row in enumerate(rows):
        if at % 1000 == 0:
            on_progress(f"weighing the two models: {at} of {len(rows)}")
        context = list(row.context) or None
        asked = request({"text": row.text, "context": context, "speaker": "bot" if reply[at] else "user"}, row.file)
        passage = Passage(asked.turn, asked.so_far)
        source = "linear in context" if reply[at] else linear.name
        found = linear.find(passage)
        score = next(f.score for f in found if f.category == "unsafe" and f.detector == source)
        score = min(max(score, 1e-6), 1 - 1e-6)
        out[at] = math.log(score / (1 - score)), model.logit(passage.base.text, passage.answers)
    return Logits(out[:, 0], out[:, 1], reply)


def blends(rows: Sequence[Row], logits: Logits) -> tuple[Blend, Blend]:
    """The blends for texts alone and for replies; the linear model's chance where there is too little to fit."""
    return _blend(rows, logits, ~logits.reply), _blend(rows, logits, logits.reply)


def _blend(rows: Sequence[Row], logits: Logits, mine: NDArray[np.bool_]) -> Blend:
    from sklearn.linear_model import LogisticRegression

    calm_files = ordinary_files(rows)
    calm = np.array([row.file in calm_files for row in rows], bool) & mine
    targets = np.array([row.labels.get("unsafe", -1) for row in rows])
    use = mine & (targets >= 0) & ~(calm & logits.reply)
    if len(set(targets[use])) < 2:
        return _NONE
    inputs = np.stack([logits.linear, logits.encoder], 1)
    model = LogisticRegression(C=100.0).fit(inputs[use], targets[use], sample_weight=row_weights(rows)[use])
    linear, encoder = (max(float(weight), 0.0) for weight in model.coef_[0])
    blend = Blend(float(model.intercept_[0]), linear, encoder, _NONE.thresholds)
    chances = [blend.chance(float(a), float(b)) for a, b in inputs[calm]]
    # A few hundred calm rows say little about one in a thousand: floors above those of the linear model.
    found = zip(thresholds_of(np.array(chances, np.float32)), (0.92, 0.82, 0.6), strict=True)
    low, medium, high = (max(pair) for pair in found)
    return Blend(blend.bias, linear, encoder, (low, medium, high))
