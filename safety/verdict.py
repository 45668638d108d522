"""A verdict: what to do with a text, why, and where in it the reason stands. Verdicts merge by the stricter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


class Action(IntEnum):
    """What to do, in rising order of strictness; the order is what makes merging verdicts well defined.

    ``CRISIS`` stands above the blocks: a person at risk gets resources, whatever else the text contains.
    """

    ALLOW = 0
    SOFTEN = 1
    MASK = 2
    NEXT = 3
    REPLACE = 4
    REFUSE = 5
    IGNORE = 6
    CRISIS = 7

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A finding in the original text: code points ``start`` to ``end``, and its kind ("email", "lexicon:hate" …)."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class SafetyVerdict:
    """What one detector, or all of them together, say about one turn.

    ``scores`` holds a probability-like number in [0, 1] per category; ``threshold`` is the one that ``category`` met;
    ``reasons`` are short texts that explain the decision (a rule's name, the strongest n-grams), never the message.
    """

    action: Action = Action.ALLOW
    category: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    threshold: float | None = None
    detector: str | None = None
    spans: tuple[Span, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def allows(self) -> bool:
        """Whether the text may go on, perhaps masked or softened."""
        return self.action <= Action.MASK

    def stricter(self, other: SafetyVerdict) -> SafetyVerdict:
        """Both verdicts in one: associative and commutative, with ``ALLOW`` and no scores as the neutral element.

        The stricter action names category, threshold and detector; scores merge by maximum, spans and reasons by union.
        """
        first, _ = sorted((self, other), key=_rank, reverse=True)
        scores = {c: max(self.scores.get(c, 0.0), other.scores.get(c, 0.0)) for c in {*self.scores, *other.scores}}
        spans = tuple(sorted({*self.spans, *other.spans}))
        reasons = tuple(sorted({*self.reasons, *other.reasons}))
        return SafetyVerdict(first.action, first.category, scores, first.threshold, first.detector, spans, reasons)


def _rank(verdict: SafetyVerdict) -> tuple[int, str, str, float]:
    """A total order over verdicts, so that the choice of the stricter cannot depend on their order."""
    return (int(verdict.action), verdict.category or "", verdict.detector or "", verdict.threshold or 0.0)


ALLOW = SafetyVerdict()
