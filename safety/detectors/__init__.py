"""The detectors, one file each. A module here with a function ``make(policy)`` is a detector; there is no list to
keep."""

from __future__ import annotations

import importlib
import pkgutil

from safety.findings import Detector
from safety.policy import Policy


def discover(*, policy: Policy, encoder: bool = False) -> list[Detector]:
    """One detector per module of this package, by name; the pair encoder only when asked for.

    A module with a constant ``REPLACES`` takes the place of the detector it names. Raises TypeError when a module of
    this package has no ``make``: a broken detector must not go unnoticed. Raises UserError when the pair encoder is
    asked for and has no weights.
    """
    found: list[Detector] = []
    modules = sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name)
    replaced: set[str] = set()
    for info in modules:
        if info.name == "pair_encoder" and not encoder:
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        if not hasattr(module, "make"):
            raise TypeError(f"safety/detectors/{info.name}.py has no function make(policy)")
        found.append(module.make(policy))
        replaced |= {module.REPLACES} if hasattr(module, "REPLACES") else set()
    return [detector for detector in found if detector.name not in replaced]
