"""What answering costs: wall-clock seconds, processor seconds, joules. Measured where possible, else estimated.

Package energy comes from Intel and AMD's RAPL counters in Linux's powercap folder. Where they cannot be read the
joules are processor seconds times WATTS_PER_BUSY_CORE, and marked as an estimate.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
WATTS_PER_BUSY_CORE = 8.0
"""A 45 W laptop package over its six to eight cores, idle power left out: an assumption, good to a factor of two."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the clock and of processors (children included), joules, and whether a counter measured these."""

    wall_s: float
    cpu_s: float
    joules: float
    measured: bool

    def plus(self, other: Cost) -> Cost:
        """Both together; measured only where both were."""
        both = self.measured and other.measured
        return Cost(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s, self.joules + other.joules, both)


class Meter:
    """Starts at creation; :meth:`stop` tells the cost since."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._wall, self._cpu, self._counters = time.monotonic(), _cpu_s(), _counters(powercap)

    def stop(self) -> Cost:
        """The cost since the start; call it after child processes were joined, so that theirs counts."""
        wall, cpu = time.monotonic() - self._wall, _cpu_s() - self._cpu
        joules = _joules(self._counters, _counters(self._powercap))
        if joules is None:
            return Cost(wall, cpu, cpu * WATTS_PER_BUSY_CORE, measured=False)
        return Cost(wall, cpu, joules, measured=True)


def _cpu_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(use.ru_utime + use.ru_stime for use in map(resource.getrusage, kinds))


def _counters(powercap: Path) -> dict[str, tuple[int, int]]:
    """Package domain -> (microjoules so far, where the counter wraps); empty where none can be read."""
    found: dict[str, tuple[int, int]] = {}
    for domain in sorted(powercap.glob("*-rapl:?")):
        try:
            now, most = (int((domain / name).read_text()) for name in ("energy_uj", "max_energy_range_uj"))
        except (OSError, ValueError):
            return {}
        found[domain.name] = (now, most)
    return found


def _joules(before: dict[str, tuple[int, int]], after: dict[str, tuple[int, int]]) -> float | None:
    if not before or before.keys() != after.keys():
        return None
    return sum((after[name][0] - then) % (most + 1) for name, (then, most) in before.items()) / 1e6
