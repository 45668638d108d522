"""The detectors, one file each. A module here with a function ``make(policy)`` is a detector; there is no list to
keep."""

from __future__ import annotations

import importlib
import pkgutil

from safety.findings import Detector
from safety.policy import Policy


def discover(*, policy: Policy, encoder: bool = False) -> list[Detector]:
    """One detector per module of this package, by name; modules with ``OPTIONAL = True`` only when asked for.

    Raises TypeError when a module of this package has no ``make``: a broken detector must not go unnoticed.
    """
    found: list[Detector] = []
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        if info.name == "pair_encoder" and not encoder:
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        if not hasattr(module, "make"):
            raise TypeError(f"safety/detectors/{info.name}.py has no function make(policy)")
        found.append(module.make(policy))
    return found
