"""How well each metric tracks people's judgement, as `evaluate correlate` measured it: quoted beside every number."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.errors import UserError

SHIPPED = Path(__file__).parent / "tracking.json"
SAME = {
    "perplexity_per_token": "mean_log_prob", "perplexity_per_word": "log_prob_per_word",
    "bits_per_byte": "bits_per_byte", "token_accuracy": "token_accuracy", "question_rate": "asks",
    "distinct_1": "distinct_1_own", "distinct_2": "distinct_2_own",
}  # fmt: skip
"""Metric of a run -> the reply-level score that `correlate` holds against people, where the names differ."""


@dataclass(frozen=True, slots=True)
class Tracking:
    """Rows of a correlation table (eval/offline/correlation.py)."""

    rows: Sequence[Mapping[str, Any]] = ()

    def best(self, metric: str) -> list[dict[str, Any]]:
        """Spearman with its interval on each data set's overall label, reply level first; empty when not measured."""
        name = SAME.get(metric, metric)
        found = [row for row in self.rows if row["metric"] == name and row["main_label"]]
        return [
            {key: row[key] for key in ("dataset", "label", "level", "spearman", "low", "high", "count", "p_holm")}
            for row in found
        ]


def load_tracking(path: Path | None = None) -> Tracking:
    """A ``correlations.json`` of `evaluate correlate`, or the shipped one; nothing where neither is there."""
    place = path or SHIPPED
    if path is None and not place.is_file():
        return Tracking()
    try:
        return Tracking(json.loads(place.read_text(encoding="utf-8"))["correlations"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{place} is no correlation table ({error}); make one with `evaluate correlate`.") from error
