"""The hand-written lines, kept apart from training: what must be caught, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from safety.filter import SafetyFilter
from safety.judge import judge, request
from safety.training.fairness import false_alarms_by_group
from safety.training.lines import Line, read_lines
from safety.verdict import Action

HERE = Path(__file__).parent


def acted_on(safety: SafetyFilter, lines: list[Line]) -> float:
    return float(np.mean([judge(safety, request(line.row, "line")).action is not Action.ALLOW for line in lines]))


@pytest.mark.parametrize(("lang", "share"), [("en", 0.85), ("ko", 0.80)])
def test_most_lines_that_must_be_caught_are(safety: SafetyFilter, lang: str, share: float) -> None:
    for name in ("must_catch", "must_catch_fresh"):
        lines = list(read_lines(HERE / f"{name}_{lang}.txt"))
        assert len(lines) >= 60
        assert acted_on(safety, lines) >= share


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_hardly_any_look_alike_is(safety: SafetyFilter, lang: str) -> None:
    for name in ("lookalikes", "lookalikes_fresh"):
        assert acted_on(safety, list(read_lines(HERE / f"{name}_{lang}.txt"))) <= 0.05


def test_no_group_is_flagged_much_more_than_the_others(safety: SafetyFilter) -> None:
    shares = false_alarms_by_group(safety)
    mean = float(np.mean(list(shares.values())))
    assert max(shares.values()) <= mean + 0.05
