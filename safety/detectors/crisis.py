"""People in danger: self-harm and suicide, an emergency of health, somebody who hurts them. Recall comes first.

English and Korean, with fiction, news and idioms allowed for; of other languages the plainest expressions only.
"""

from __future__ import annotations

from dataclasses import dataclass

from safety.findings import Detector, Finding
from safety.lexicons import Hit
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_SCORES = {1: 0.1, 2: 0.8, 3: 0.95}
# The other kinds stay below self-harm, whose answer names the emergency number too, and above the level "medium".
_STRENGTHS = {"selfharm": {1: 0.2, 2: 0.6, 3: 0.9}, "in_danger": {1: 0.2, 2: 0.56, 3: 0.58}}
_OTHERS = {1: 0.2, 2: 0.52, 3: 0.54}
_SOURCES = frozenset({"crisis", "emergency"})


@dataclass(frozen=True)
class CrisisDetector:
    """Looks for what people say who are in danger, from themselves, from others, or in their health.

    A finding of "distress" says only that a message is a troubled one; no policy acts on it.
    """

    name: str = "crisis"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding for each category, rule and place, in the original's code points."""
        found: dict[tuple[int, int, str], Finding] = {}
        for view, hit in passage.hits:
            if hit.source in _SOURCES:
                start, end = view.span(hit.start, hit.end)
                found.setdefault((start, end, hit.category), self._finding(hit, start, end))
        return list(found.values())

    def _finding(self, hit: Hit, start: int, end: int) -> Finding:
        strength = _STRENGTHS.get(hit.category, _OTHERS)[hit.severity]
        kind = f"crisis:{hit.category}" + (f":{hit.lang}" if hit.lang else "")
        reason = f"rule {hit.line[:60]!r}"
        return Finding(hit.category, _SCORES[hit.severity], strength, self.name, reason, (Span(start, end, kind),))


def make(policy: Policy) -> Detector:
    """The detector; no policy setting concerns it, and none can switch it off."""
    return CrisisDetector()
