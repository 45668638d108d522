from __future__ import annotations

from pathlib import Path

import pytest

from eval.offline.metrics.energy import WATTS_PER_BUSY_CORE, Cost, Meter
from eval.plots import heat, intervals, points
from eval.report import Table, markdown, number, with_interval


def domain(folder: Path, name: str, now: int, most: int = 1_000_000) -> None:
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / "energy_uj").write_text(f"{now}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{most}\n")


def test_joules_come_from_the_counters_even_when_one_wraps(tmp_path: Path) -> None:
    domain(tmp_path, "intel-rapl:0", 999_000)
    domain(tmp_path, "intel-rapl:1", 100)
    meter = Meter(tmp_path)
    domain(tmp_path, "intel-rapl:0", 1_999)
    domain(tmp_path, "intel-rapl:1", 1_000_000)
    cost = meter.stop()
    assert cost.measured and cost.joules == pytest.approx((3_000 + 999_900) / 1e6)


def test_without_counters_joules_are_an_estimate_and_say_so(tmp_path: Path) -> None:
    meter = Meter(tmp_path)
    sum(n * n for n in range(300_000))
    cost = meter.stop()
    assert not cost.measured and cost.cpu_s > 0
    assert cost.joules == pytest.approx(cost.cpu_s * WATTS_PER_BUSY_CORE)
    assert not cost.plus(Cost(1, 1, 1, measured=True)).measured


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (float("nan"), "–"), (0.0, "0.000"), (0.41249, "0.412"), (12.345, "12.35"), (1234.5, "1,234.5"),
     (0.00012, "0.00012"), (-0.5, "-0.500")],
)  # fmt: skip
def test_numbers_for_people(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_a_table_survives_pipes_and_line_breaks_in_texts() -> None:
    text = markdown("t", [Table(["a"], [["x|y\nz"]])])
    assert "| x\\|y z |" in text
    assert with_interval({"value": 0.5, "low": 0.25, "high": None}) == "0.500 [0.250, –]"


def test_equal_numbers_give_equal_plots() -> None:
    rows = [("a", 0.5, 0.2, 0.8), ("b", -0.1, -0.3, 0.1)]
    assert intervals(rows, "x") == intervals(rows, "x")
    table = {"score": {"set": 0.4, "other": float("nan")}}
    assert heat(table, "y").startswith("<svg") and heat(table, "y") == heat(table, "y")
    assert points([("a", 1, 2), ("b", 2, 3), ("c", 3, 5)], "x", "y").count("<svg") == 1
