"""The protocol of the Sensibleness and Specificity Average (SSA): its rules, and when its name is earned.

Source: Adiwardana et al. 2020, "Towards a Human-like Open-Domain Chatbot", sections 2.1 to 2.4 (SSA, static and
interactive evaluation); interesting and safe follow Thoppilan et al. 2022 (LaMDA).
Plain functions: no database, no screen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from eval.ssa.questions import FORM, QUESTIONS, SENSIBLE, SPECIFIC


class Kind(StrEnum):
    """How the replies of a study come about."""

    STATIC = "static"
    INTERACTIVE = "interactive"
    PAIRWISE = "pairwise"


class Answer(IntEnum):
    """The one answer that a rater gives about a reply; the numbers are the keys."""

    NOT_SENSIBLE = 1
    SENSIBLE = 2
    SPECIFIC = 3

    def labels(self) -> dict[str, int]:
        """Both labels. A reply that makes no sense is not specific either (section 2.1 of the paper)."""
        return {SENSIBLE: int(self >= Answer.SENSIBLE), SPECIFIC: int(self == Answer.SPECIFIC)}


def answer_of(sensible: int, specific: int) -> Answer:
    """The answer behind two labels; specific counts only where the reply is sensible."""
    if not sensible:
        return Answer.NOT_SENSIBLE
    return Answer.SPECIFIC if specific else Answer.SENSIBLE


def asked(extras: Sequence[str]) -> tuple[str, ...]:
    """The labels that make a rating complete: both of SSA and the study's extra ones, in the order of asking."""
    return tuple(label for label in QUESTIONS if label in (SENSIBLE, SPECIFIC) or label in extras)


def still_open(extras: Sequence[str], given: Mapping[str, int]) -> tuple[str, ...]:
    """What is left to ask about a reply; a reply that makes no sense is not asked whether it is interesting."""
    return tuple(label for label in asked(extras) if label not in implied(given) and label not in given)


def implied(given: Mapping[str, int]) -> dict[str, int]:
    """The labels that follow without asking: nothing is specific or interesting that makes no sense."""
    if given.get(SENSIBLE) != 0:
        return {}
    return {label: 0 for label, question in QUESTIONS.items() if question.only_if_sensible}


@dataclass(frozen=True, slots=True)
class Rules:
    """What a study must keep to be called SSA (sections 2.1 to 2.4 of the paper)."""

    raters_per_reply: int = 5
    static_replies: int = 1477
    static_turns: tuple[int, int] = (1, 3)
    conversations: int = 100
    interactive_replies: int = 700
    conversation_turns: tuple[int, int] = (14, 28)
    opening: str = "hi!"


PAPER = Rules()


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """What was in fact done for one system. ``context_turns``: static; ``turns``, ``openings``: interactive."""

    system: str
    kind: Kind
    raters_per_reply: Sequence[int]
    conversations: int
    context_turns: Sequence[int] = ()
    turns: Sequence[int] = ()
    openings: Sequence[str] = ()
    decodings: frozenset[str] = frozenset()
    safety_off: int = 0
    forms: frozenset[str] = frozenset({FORM})
    blinded: bool = True
    rater_kinds: frozenset[str] = frozenset({"person"})
    skipped: int = 0
    rated_by_their_chatter: int = 0
    specific_without_sense: int = 0
    planned_replies: int = 0
    imported_labels: int = 0
    peeked: bool = False

    @property
    def replies(self) -> int:
        """Labelled replies."""
        return len(self.raters_per_reply)


def title(facts: Iterable[SystemFacts]) -> str:
    """The name that the result has earned: "SSA" where every system kept the protocol, else "SSA-like"."""
    return "SSA" if not any(departures(fact) for fact in facts) else "SSA-like"


def departures(facts: SystemFacts, rules: Rules = PAPER) -> tuple[str, ...]:
    """Every way in which a system's figures depart from the paper's protocol, in words; empty where it was kept."""
    amount = _static_amount(facts, rules) if facts.kind is Kind.STATIC else _interactive_amount(facts, rules)
    return (*_raters(facts, rules), *amount, *_conditions(facts))


def _raters(facts: SystemFacts, rules: Rules) -> list[str]:
    found = []
    few = [n for n in facts.raters_per_reply if n < rules.raters_per_reply]
    if few:
        span = f"{min(few)}" if min(few) == max(few) else f"{min(few)} to {max(few)}"
        found.append(
            f"{len(few)} of {facts.replies} replies have fewer than {rules.raters_per_reply} raters ({span} instead)."
        )
    if facts.rater_kinds - {"person"}:
        kinds = ", ".join(sorted(facts.rater_kinds - {"person"}))
        found.append(f"Not all raters were people: {kinds}.")
    if facts.rated_by_their_chatter and facts.kind is Kind.STATIC:
        found.append(f"{facts.rated_by_their_chatter} replies were rated by somebody who had a part in the talk.")
    if not facts.blinded:
        found.append("Raters could know which system they rated.")
    return found


def _static_amount(facts: SystemFacts, rules: Rules) -> list[str]:
    found = []
    if facts.replies < rules.static_replies:
        found.append(f"{facts.replies} replies instead of {rules.static_replies:,}.")
    low, high = rules.static_turns
    outside = sum(not low <= n <= high for n in facts.context_turns)
    if outside:
        found.append(f"{outside} of {facts.replies} contexts do not have {low} to {high} turns.")
    return found


def _interactive_amount(facts: SystemFacts, rules: Rules) -> list[str]:
    found = []
    if facts.conversations < rules.conversations:
        found.append(f"{facts.conversations} conversations instead of {rules.conversations}.")
    if facts.replies < rules.interactive_replies:
        found.append(f"{facts.replies} labelled replies instead of {rules.interactive_replies}.")
    low, high = rules.conversation_turns
    outside = sum(not low <= n <= high for n in facts.turns)
    if outside:
        found.append(f"{outside} of {len(facts.turns)} conversations do not have {low} to {high} turns.")
    others = sum(opening.strip().lower() != rules.opening for opening in facts.openings)
    if others:
        found.append(f"{others} of {len(facts.openings)} conversations do not open with “Hi!”.")
    return found


def _conditions(facts: SystemFacts) -> list[str]:
    found = []
    if len(facts.decodings) > 1:
        found.append(f"Decoding changed midway: {len(facts.decodings)} configurations.")
    if facts.safety_off:
        found.append(f"The safety filter was off for {facts.safety_off} replies.")
    if facts.forms != {FORM}:
        others = ", ".join(sorted(facts.forms - {FORM}))
        found.append(f"Ratings were given under other wording than {FORM}: {others}.")
    if facts.specific_without_sense:
        found.append(f"{facts.specific_without_sense} votes for specific, not sensible, were counted as not specific.")
    if facts.imported_labels:
        found.append(f"{facts.imported_labels} votes were imported, not given in this console.")
    if facts.skipped:
        found.append(f"{facts.skipped} times a rater skipped a reply.")
    if facts.planned_replies > facts.replies:
        found.append(
            f"{facts.planned_replies - facts.replies} planned replies have no label yet: the study is not over."
        )
    if facts.peeked:
        found.append("The study stopped on a look at interim results without the sequential rule.")
    return found
