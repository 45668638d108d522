"""A reply judged given what it answers: agreeing with something unsafe, making light of a person at risk. Bot side
only.

After DiaSafety (Sun et al. 2022): a harmless line may be unsafe as an answer. What is answered is judged by the rule
lists, safety/loaded_claims.py and the learned text layer; how it is answered by safety/answers.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from dialogue.turns import Turn
from safety import answers, loaded_claims
from safety.detectors.linear import LinearDetector
from safety.findings import Detector, Finding
from safety.linear_model import shipped_model
from safety.passage import Passage
from safety.policy import Policy

_HARM = frozenset({"hate", "violence", "sexual_minors", "dangerous", "offensive", "sexual"})


@dataclass(frozen=True)
class InContextDetector:
    """Rules over pairs of turns."""

    linear: LinearDetector
    name: str = "in_context"

    def find(self, passage: Passage) -> list[Finding]:
        """At most one finding for risk and one for agreement."""
        if not passage.by_bot or not passage.answers:
            return []
        answered = next(turn for turn in reversed(passage.earlier) if turn.role is not passage.turn.role)
        before = Passage(Turn(answered.role, answered.text[:2000]), passage.so_far)
        said, reply = before.base.text.strip(), passage.base.text.strip()
        if any(hit.category == "selfharm" for _, hit in before.hits):
            if answers.makes_light(reply) or (answers.assents(reply) and not answers.cares(reply)):
                return [Finding("ignores_risk", 0.93, 0.85, self.name, "makes light of a person at risk")]
        elif loaded_claims.goes_along(said, reply) and (rule := loaded_claims.loaded(said)):
            return [Finding("agrees_unsafe", 0.9, 0.8, self.name, f"agrees with a loaded claim: {rule}")]
        elif answers.assents(reply) and self._harmful(before):
            return [Finding("agrees_unsafe", 0.9, 0.8, self.name, "agrees with something unsafe")]
        return []

    def _harmful(self, before: Passage) -> bool:
        if any(hit.category in _HARM and hit.severity >= 2 for _, hit in before.hits):
            return True
        strong = (f for f in self.linear.find(before) if f.category in (*_HARM, "unsafe"))
        return any(finding.strength >= 0.5 for finding in strong)


def make(policy: Policy) -> Detector:
    """The detector; it shares the shipped weights."""
    return InContextDetector(LinearDetector(shipped_model()))
