"""What a search found: token sequences with their log-probabilities, and the texts made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One token sequence of a search, without the start token; it ends with EOS when ``finished``.

    ``log_prob`` is the sum of the tokens' log-probabilities in nats under the model, before any score rule
    where the strategy can tell, else after them; ``score`` is what the search ordered it by.
    """

    token_ids: tuple[int, ...]
    log_prob: float
    score: float
    finished: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible reply: its text, the hypothesis it came from, and named features the re-ranker looked at.

    ``dropped_by`` names the rule that took it out of the running ("cross_turn", "empty", "safety:hate" …).
    """

    text: str
    hypothesis: Hypothesis
    features: Mapping[str, float] = field(default_factory=dict)
    dropped_by: str | None = None
