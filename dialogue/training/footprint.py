"""Energy, carbon dioxide and cost of a run, by codecarbon in its offline mode (no network, no files)."""

from __future__ import annotations

import logging
import warnings
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

from dialogue.errors import UserError


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


class Meter:
    """Measures what happens under its ``with``; ask for ``footprint()`` after it."""

    def __init__(self, country: str = "DEU", price_per_kwh: float = 0.30) -> None:
        """``country`` is an ISO 3166 alpha-3 code. Raises UserError when codecarbon is not installed."""
        try:
            from codecarbon import OfflineEmissionsTracker
        except ImportError as error:
            raise UserError("Measuring energy needs codecarbon; run: pip install 'chinwag[train]'") from error
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
