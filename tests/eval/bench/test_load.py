"""The load generator and what it concludes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("aiohttp", reason="no aiohttp: pip install 'chinwag[discord]'")

from eval.bench.load import Level, best_within, knee, offer, percentiles
from eval.bench.serve import PLAIN, draw, print_json, summary
from tests.bot.doors.http_helpers import running_api
from tests.fakes import FakeGenerator


def level(offered: float, replies: float, p95: float, *, server: str = "chinwag", refused: int = 0) -> Level:
    return Level(server, int(offered * 10), offered, replies, p95 / 2, p95, p95, 100, refused, 0)


def test_the_knee_is_the_last_rate_that_is_kept_up_with() -> None:
    levels = [level(1, 1, 0.5), level(2, 1.9, 0.6), level(4, 3.9, 2.0, refused=30), level(8, 3.0, 9.0)]
    assert knee(levels).offered_per_s == 2
    assert best_within(levels, 0.6) == 1.9 and best_within(levels, 0.1) == 0.0


def test_a_rate_at_which_many_are_refused_is_not_a_rate_that_is_served() -> None:
    refusing = level(8, 8.0, 0.5, refused=50)
    assert best_within([level(1, 1, 0.5), refusing], 0.6) == 1 and knee([level(1, 1, 0.5), refusing]).offered_per_s == 1


def test_percentiles_of_nothing_are_not_numbers_and_of_one_are_it() -> None:
    assert all(math.isnan(value) for value in percentiles([])) and percentiles([3.0]) == (3.0, 3.0, 3.0)
    assert percentiles([float(n) for n in range(101)]) == (50.0, 95.0, 99.0)


def test_the_comparison_is_at_equal_p95_and_says_when_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [level(1, 1, 0.5), level(2, 1.9, 0.6), level(4, 3.9, 3.0)]
    assert "3.8 times as many" in summary([*own, level(0.5, 0.5, 0.6, server=PLAIN)])
    storm = level(12, 2.0, 4.0, refused=300)
    assert "At 3 times the knee: 2.00 replies/s at p95 4.00 s, 300 of 400 refused" in summary([*own, storm])
    nothing = Level(PLAIN, 1, 0.1, 0.0, math.nan, math.nan, math.nan, 0, 0, 5)
    assert "no comparison" in summary([*own, nothing])
    print_json([*own, nothing])
    assert json.loads(capsys.readouterr().out)["levels"][-1]["p95_s"] is None
    pytest.importorskip("matplotlib")
    draw([*own, nothing], tmp_path / "curve.png")
    assert (tmp_path / "curve.png").stat().st_size > 5000


async def test_load_is_offered_whether_or_not_it_is_answered_and_refusals_are_told_apart(tmp_path: Path) -> None:
    slow = FakeGenerator(steps=30, step_s=0.01)
    async with running_api(tmp_path, slow, max_queue=2, max_batch=1, http_requests_per_minute=10**6) as api:
        done = await offer("x", api.url, conversations=20, pause_s=1.0, seconds=2.0, timeout_s=30.0, seed=3)
    assert done.sent >= 15 and done.refused > 0 and done.answered > 0 and done.failed == 0
    assert done.offered_per_s == done.sent / 2.0 and done.p50_s <= done.p95_s <= done.p99_s
