"""Candidates of one search, looked at in their conversation: features, rules that drop, and the final order.

Pure Python over texts and numbers; whoever has the model supplies the scorer that PMI needs. Nothing here is random.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dialogue.candidates import Candidate
from dialogue.decoding.config import DecodingConfig
from dialogue.turns import Conversation

Scorer = Callable[[Sequence[Candidate], Conversation], list[float]]
"""One number per candidate: log p(reply) per token, in nats, without the talk before it; or a judge's score."""

MIN_WORDS = 4
"""An overlap is a share of at least this many words, so that a short "Yes, I do." may be said twice."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words(text: str) -> list[str]:
    """The words of a text in lower case, punctuation left out."""
    return _WORD.findall(text.casefold().replace("’", "'"))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, in words.

    The bit-parallel form of Hyyrö 2004 ("Bit-parallel LCS-length computation revisited"): a word of ``first`` is a bit.
    """
    places: dict[str, int] = {}
    for bit, word in enumerate(first):
        places[word] = places.get(word, 0) | (1 << bit)
    full = (1 << len(first)) - 1
    row = full
    for word in second:
        hit = row & places.get(word, 0)
        row = ((row + hit) | (row - hit)) & full
    return len(first) - row.bit_count()


def cross_turn_overlap(text: str, conversation: Conversation) -> float:
    """The greatest share of a reply's words that one earlier turn has in the same order, in [0, 1].

    Adiwardana et al. 2020, section 5.2: candidates with a long common subsequence with an earlier turn are repetitions.
    """
    own = words(text)
    longest = max((common_subsequence(own, words(turn.text)) for turn in conversation.turns), default=0)
    return longest / max(len(own), MIN_WORDS)


def repetition(text: str, n: int = 3) -> float:
    """The share of a reply's word n-grams that it already had, in [0, 1): 0 when all differ or there are none."""
    own = words(text)
    grams = [tuple(own[i : i + n]) for i in range(len(own) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def features(candidate: Candidate, conversation: Conversation) -> dict[str, float]:
    """What a candidate looks like: ``mean_log_prob`` (nats per token), ``length`` (tokens), overlap and repetition."""
    tokens = len(candidate.hypothesis.token_ids)
    return {
        "mean_log_prob": candidate.hypothesis.log_prob / max(tokens, 1),
        "length": float(tokens),
        "cross_turn_overlap": cross_turn_overlap(candidate.text, conversation),
        "repetition": repetition(candidate.text),
    }


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules that drop a candidate, each with the name it reports; ``seen`` are the texts of those before it."""

    config: DecodingConfig
    seen: set[str]

    def dropped_by(self, candidate: Candidate) -> str | None:
        """The first rule that the candidate breaks, or None; what dropped it before stays."""
        text = " ".join(words(candidate.text))
        again = text in self.seen
        self.seen.add(text)
        if candidate.dropped_by or not text:
            return candidate.dropped_by or "empty"
        if again:
            return "duplicate"
        if any(_has_phrase(text, phrase) for phrase in self.config.blocked_phrases):
            return "blocked_phrase"
        limit = self.config.cross_turn_overlap
        return "cross_turn" if 0 < limit <= candidate.features["cross_turn_overlap"] else None


def _has_phrase(text: str, phrase: str) -> bool:
    """Whether a text of plain words contains a phrase as whole words, whatever the tokeniser made of either."""
    wanted = " ".join(words(phrase))
    return bool(wanted) and f" {wanted} " in f" {text} "


def _with_pmi(
    candidates: Sequence[Candidate], conversation: Conversation, weight: float, scorer: Scorer
) -> list[Candidate]:
    """Candidates with ``pmi`` = log p(r|c) − λ log p(r) per token (Li et al. 2016, MMI-antiLM), against bland ones."""
    alone = scorer(candidates, conversation)
    return [
        replace(c, features={**c.features, "log_prob_alone": a, "pmi": c.features["mean_log_prob"] - weight * a})
        for c, a in zip(candidates, alone, strict=True)
    ]


def _with_judge(candidates: Sequence[Candidate], conversation: Conversation, judge: Scorer) -> list[Candidate]:
    """Candidates with ``judge``, a learnt score of the reply in its talk, higher for better ones."""
    scores = judge(candidates, conversation)
    return [replace(c, features={**c.features, "judge": s}) for c, s in zip(candidates, scores, strict=True)]


def _rank(candidate: Candidate, config: DecodingConfig) -> float:
    """What candidates are ordered by: PMI (or the mean log-probability) and the judge's score with its weight."""
    found = candidate.features
    return found.get("pmi", found["mean_log_prob"]) + config.judge_weight * found.get("judge", 0.0)


def rerank(
    candidates: Sequence[Candidate],
    conversation: Conversation,
    config: DecodingConfig,
    scorer: Scorer | None = None,
    judge: Scorer | None = None,
) -> list[Candidate]:
    """The same candidates with features, best first; those a rule dropped come last, with its name.

    Without PMI and judge the order of the search stays. ``dropped_by`` is "empty", "duplicate", "blocked_phrase" or
    "cross_turn". Raises ValueError when the configuration asks for PMI or the judge and there is none.
    """
    looked_at = [replace(c, features={**c.features, **features(c, conversation)}) for c in candidates]
    if config.pmi_lambda and looked_at:
        if scorer is None:
            raise ValueError("pmi_lambda needs a scorer of replies without their context")
        looked_at = _with_pmi(looked_at, conversation, config.pmi_lambda, scorer)
    if config.judge_weight and looked_at:
        if judge is None:
            raise ValueError("judge_weight needs a judge of replies")
        looked_at = _with_judge(looked_at, conversation, judge)
    if config.pmi_lambda or config.judge_weight:
        looked_at.sort(key=lambda c: -_rank(c, config))
    rules = _Rules(config, set())
    judged = [replace(c, dropped_by=rules.dropped_by(c)) for c in looked_at]
    return sorted(judged, key=lambda c: c.dropped_by is not None)
