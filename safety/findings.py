"""What a detector reports, and what a detector is. No decision is made here: policy.py turns findings into verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from safety.passage import Passage
from safety.verdict import Span


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a detector found in a text.

    ``score`` is a probability-like number in [0, 1]. ``strength`` puts all detectors on one scale for decisions:
    from 0.5 on the finding counts at level "medium", from 0.8 at "low", from 0.3 at "high" (see policy.toml).
    ``reason`` is a rule or the strongest features, never the message itself.
    """

    category: str
    score: float
    strength: float
    detector: str
    reason: str = ""
    spans: tuple[Span, ...] = ()


class Detector(Protocol):
    """Looks at a turn in its conversation. One file each in safety/detectors, with a function ``make()``."""

    @property
    def name(self) -> str:
        """The name that stands in verdicts and logs."""
        ...

    def find(self, passage: Passage) -> list[Finding]:
        """All findings, in any order; an empty list is the normal case. Must not keep the text."""
        ...
