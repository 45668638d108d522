"""Energy, carbon dioxide and cost of a run, by codecarbon in its offline mode (no network, no files)."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from dialogue.errors import MissingExtra

SUMMED = ("hours", "energy_kwh", "co2_kg", "cost")


@dataclass(frozen=True, slots=True)
class Footprint:
    """``energy_kwh`` at the plug as codecarbon estimates it; CO2 by the country's mix; ``cost`` of the energy."""

    hours: float
    energy_kwh: float
    co2_kg: float
    cost: float
    country: str
    price_per_kwh: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a record."""
        return asdict(self)


def with_earlier(path: Path, stretch: Footprint) -> Footprint:
    """This stretch of a run and those before it, which the file at ``path`` sums up; the file is brought up to date."""
    total = stretch
    if path.is_file():
        earlier = Footprint(**json.loads(path.read_text(encoding="utf-8")))
        sums = {name: getattr(earlier, name) + getattr(stretch, name) for name in SUMMED}
        total = replace(stretch, **sums)
    path.write_text(json.dumps(asdict(total)) + "\n", encoding="utf-8")
    return total


class Meter:
    """Measures what happens under its ``with``; ask for ``footprint()`` after it."""

    def __init__(self, country: str = "DEU", price_per_kwh: float = 0.30) -> None:
        """``country`` is an ISO 3166 alpha-3 code. Raises MissingExtra when codecarbon is not installed."""
        try:
            from codecarbon import OfflineEmissionsTracker
        except ImportError as error:
            raise MissingExtra("Measuring energy needs codecarbon", "train") from error
        logging.getLogger("codecarbon").disabled = True
        self.country, self.price_per_kwh = country, price_per_kwh
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of its own dependencies, and stops measuring when that raises
            self._tracker: Any = OfflineEmissionsTracker(
                country_iso_code=country,
                save_to_file=False,
                log_level="critical",
                allow_multiple_runs=True,
                measure_power_secs=15,
            )

    def __enter__(self) -> Meter:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tracker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tracker.stop()

    def footprint(self) -> Footprint:
        """What was used between the start and the end."""
        data = self._tracker.final_emissions_data
        energy = float(data.energy_consumed)
        return Footprint(
            hours=float(data.duration) / 3600,
            energy_kwh=energy,
            co2_kg=float(data.emissions),
            cost=energy * self.price_per_kwh,
            country=self.country,
            price_per_kwh=self.price_per_kwh,
        )
