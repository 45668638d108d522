"""Scores of one given reply in its context, to be held against what people thought of it: surface, likelihood, meaning.

The same functions as in a run's metrics where there are such; nothing here was fitted to any label.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dialogue.models.chat_model import ChatModel
from dialogue.rerank import common_subsequence, words
from eval.offline.metrics import overlap, shape, variety
from eval.offline.ratings import Exchange, Rated

Meaning = Callable[[Sequence[str]], list[list[float]]]
"""Texts -> vectors of equal length."""


def surface(exchange: Exchange) -> dict[str, float]:
    """What can be seen without a model."""
    reply, context = exchange.reply, exchange.context
    own = words(reply)
    return {
        "length_words": float(shape.length(reply)),
        "log_length": math.log1p(len(own)),
        "question_rate": float(shape.asks(reply)),
        "self_repetition": variety.self_repetition(reply),
        "context_copying": variety.copied(reply, context),
        "distinct_1_own": _or_zero(variety.distinct([reply], 1)),
        "distinct_2_own": _or_zero(variety.distinct([reply], 2)),
        "f1_with_last_turn": overlap.f1(reply, context[-1:]),
        "mean_word_length": sum(map(len, own)) / len(own) if own else 0.0,
        "said_before": said_before(reply, context),
        "near_letters": near_letters(reply, context[-1]),
        "ends_well": float(reply.rstrip().endswith((".", "!", "?", "…", ")", '"'))),
    }


def said_before(reply: str, context: Sequence[str]) -> float:
    """The greatest share of a reply's words that one earlier turn has in the same order (as dialogue/rerank.py)."""
    own = words(reply)
    return max((common_subsequence(own, words(turn)) for turn in context), default=0) / max(len(own), 4)


def near_letters(first: str, second: str) -> float:
    """The cosine of counts of three letters in a row: shared stems, in any language."""
    counts = [Counter(text[i : i + 3] for i in range(len(text) - 2)) for text in (first.casefold(), second.casefold())]
    product = sum(count * counts[1][gram] for gram, count in counts[0].items())
    size = math.prod(sum(count * count for count in own.values()) for own in counts)
    return product / math.sqrt(size) if size else 0.0


def _or_zero(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def against_references(reply: str, references: Sequence[str]) -> dict[str, float]:
    """F1, BLEU (one sentence, smoothed) and chrF against human answers; nothing where there are none."""
    if not references:
        return {}
    return {
        "f1": overlap.f1(reply, references),
        "bleu": overlap.bleu(overlap.bleu_parts(reply, references)),
        "chrf": overlap.chrf(overlap.chrf_parts(reply, references)),
    }


def cosine(first: Sequence[float], second: Sequence[float]) -> float:
    """The cosine of two vectors; 0 where one of them is nothing."""
    product = sum(a * b for a, b in zip(first, second, strict=True))
    size = math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))
    return product / size if size else 0.0


def of_meaning(exchange: Exchange, meaning: Meaning) -> dict[str, float]:
    """How near the reply is in meaning to the last turn, the whole context, and its own speaker's last turn."""
    context = exchange.context
    own_last = context[-2] if len(context) > 1 else ""
    reply, last, whole, own = meaning([exchange.reply, context[-1], " ".join(context), own_last])
    return {
        "near_last_turn": cosine(reply, last),
        "near_context": cosine(reply, whole),
        "near_own_last": cosine(reply, own),
    }


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores exchanges by a chat model's likelihood, in the languages it speaks, and by word meanings."""

    model: ChatModel | None = None
    meaning: Meaning | None = None

    def scores(self, exchanges: Sequence[Exchange], language: str = "en") -> list[dict[str, float]]:
        """Every score of every exchange, in order."""
        found = [surface(exchange) for exchange in exchanges]
        if self.meaning is not None:
            for row, exchange in zip(found, exchanges, strict=True):
                row |= of_meaning(exchange, self.meaning)
        if self.model is not None and language in self.model.languages:
            from eval.offline.model_scores import model_scores

            for row, own in zip(found, model_scores(self.model, exchanges), strict=True):
                row |= own
        return found


def scores_of(rated: Rated, exchanges: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The scores of a rated reply, or the means over a rated talk, with those against references and of whole talks."""
    names = exchanges[0].keys() if exchanges else ()
    means = {name: sum(row[name] for row in exchanges) / len(exchanges) for name in names}
    if rated.level == "reply":
        return means | against_references(rated.exchanges[0].reply, rated.references)
    replies = [exchange.reply for exchange in rated.exchanges]
    return means | {
        "unique_replies": variety.unique(replies),
        "distinct_1": variety.distinct(replies, 1),
        "distinct_2": variety.distinct(replies, 2),
        "talk_turns": float(len(replies)),
    }
