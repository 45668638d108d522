"""People at risk: self-harm and suicide, English and Korean. Recall first; fiction, news and idioms are allowed for."""

from __future__ import annotations

from dataclasses import dataclass

from safety.findings import Detector, Finding
from safety.lexicons import Hit
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_SCORES = {1: 0.4, 2: 0.8, 3: 0.95}
_STRENGTHS = {1: 0.35, 2: 0.6, 3: 0.9}


@dataclass(frozen=True)
class CrisisDetector:
    """Looks for what people say who think of harming themselves."""

    name: str = "crisis"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding for each rule and place, in the original's code points."""
        found: dict[tuple[int, int], Finding] = {}
        for view, hit in passage.hits:
            if hit.source == self.name:
                start, end = view.span(hit.start, hit.end)
                found.setdefault((start, end), self._finding(hit, start, end))
        return list(found.values())

    def _finding(self, hit: Hit, start: int, end: int) -> Finding:
        score, strength = _SCORES[hit.severity], _STRENGTHS[hit.severity]
        reason = f"rule {hit.line[:60]!r}"
        return Finding("selfharm", score, strength, self.name, reason, (Span(start, end, "crisis:selfharm"),))


def make(policy: Policy) -> Detector:
    """The detector; no policy setting concerns it, and none can switch it off."""
    return CrisisDetector()
