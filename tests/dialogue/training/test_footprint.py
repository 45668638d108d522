from __future__ import annotations

from pathlib import Path

from dialogue.training.footprint import Footprint, with_earlier


def test_a_run_in_stretches_counts_the_energy_of_all_of_them(tmp_path: Path) -> None:
    first = Footprint(1.0, 0.5, 0.2, 0.15, "DEU", 0.3)
    second = Footprint(0.5, 0.25, 0.1, 0.075, "DEU", 0.3)
    assert with_earlier(tmp_path / "footprint.json", first) == first
    both = with_earlier(tmp_path / "footprint.json", second)
    assert (both.hours, both.energy_kwh, both.country) == (1.5, 0.75, "DEU")
    third = with_earlier(tmp_path / "footprint.json", second)
    assert third.hours == 2.0
