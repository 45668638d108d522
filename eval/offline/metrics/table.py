"""Every metric in one table: what it is, where it comes from, and how items become a number with an interval.

A metric that is a function of sums keeps its ``parts`` for each item, so that it can be resampled; one that is not
(distinct n-grams) takes all replies at once. To add a metric: write the pure function, then one line here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval.offline.metrics import clash, overlap, perplexity, ranking, shape, variety
from eval.offline.records import Scored

Parts = Callable[[Scored], tuple[float, ...] | None]
Combine = Callable[[Sequence[float]], float]
Whole = Callable[[Sequence[Scored]], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """``better`` is "higher", "lower" or "neither"; ``parts`` is None for an item the metric says nothing about."""

    name: str
    what: str
    source: str
    better: str
    parts: Parts | None = None
    combine: Combine | None = None
    whole: Whole | None = None


def mean(sums: Sequence[float]) -> float:
    """Sum and count -> mean."""
    return sums[0] / sums[1] if sums[1] else math.nan


def _of_reply(function: Callable[[Scored], float]) -> Parts:
    return lambda scored: None if scored.reply is None else (float(function(scored)), 1.0)


def _against_references(function: Callable[[str, Sequence[str]], tuple[float, ...]]) -> Parts:
    def parts(scored: Scored) -> tuple[float, ...] | None:
        if scored.reply is None or not scored.item.references:
            return None
        return function(scored.reply, scored.item.references)

    return parts


def _of_likelihood(function: Callable[[Scored], tuple[float, ...]]) -> Parts:
    return lambda scored: function(scored) if scored.references else None


def _ranked(function: Callable[[Sequence[float], Sequence[float]], float], scores: str) -> Parts:
    def parts(scored: Scored) -> tuple[float, ...] | None:
        if not scored.references or not scored.negatives:
            return None
        good = [getattr(each, scores) for each in scored.references]
        bad = [getattr(each, scores) for each in scored.negatives]
        return (function(good, bad), 1.0)

    return parts


def _clash(scored: Scored) -> tuple[float, ...] | None:
    if scored.reply is None or not scored.facts:
        return None
    return (float(clash.contradicts(scored.reply, scored.facts)), 1.0)


def _texts(scored: Sequence[Scored]) -> list[str]:
    return [each.reply for each in scored if each.reply is not None]


def _nats(scored: Scored) -> float:
    return scored.references[0].nats


LIKELIHOOD = (
    Metric(
        "perplexity_per_token", "how surprised the model is by a human answer, by its own tokens",
        "Jelinek et al. 1977", "lower",
        _of_likelihood(lambda s: (_nats(s), s.references[0].tokens)), lambda x: perplexity.per_token(*x),
    ),
    Metric(
        "perplexity_per_word", "the same by words: comparable across tokenizers", "Adiwardana et al. 2020, sec. 2",
        "lower", _of_likelihood(lambda s: (_nats(s), s.references[0].words)), lambda x: perplexity.per_word(*x),
    ),
    Metric(
        "bits_per_byte", "the same in bits for each byte: comparable across tokenizers and languages",
        "Gao et al. 2020, sec. 3.1", "lower",
        _of_likelihood(lambda s: (_nats(s), s.references[0].size)), lambda x: perplexity.bits_per_byte(*x),
    ),
    Metric(
        "token_accuracy", "the share of tokens of a human answer that the model would have chosen",
        "Roller et al. 2020, sec. 6", "higher",
        _of_likelihood(lambda s: (s.references[0].right, s.references[0].tokens)),
        lambda x: perplexity.token_accuracy(*x),
    ),
)  # fmt: skip
RANKING = tuple(
    Metric(f"{name}{suffix}", f"{what}, by {how} per token", source, "higher", _ranked(function, scores), mean)
    for suffix, scores, how in (("", "mean_log_prob", "log p(r|c)"), ("_pmi", "pmi", "log p(r|c) - log p(r)"))
    for name, what, source, function in (
        ("hits_at_1", "human answer above every tempting wrong one", "Sai et al. 2020", ranking.hits),
        ("mrr", "mean reciprocal rank of the human answer", "Voorhees 1999", ranking.mrr),
        ("pairs_in_order", "human answer above a tempting wrong one", "area under the ROC curve", ranking.pairwise),
    )
)  # fmt: skip
OVERLAP = (
    Metric("f1", "words shared with the nearest human answer", "Rajpurkar et al. 2016, sec. 6.1", "higher",
           _against_references(lambda reply, refs: (overlap.f1(reply, refs), 1.0)), mean),
    Metric("bleu", "n-grams shared with all human answers", "Papineni et al. 2002; sacrebleu", "higher",
           _against_references(overlap.bleu_parts), overlap.bleu),
    Metric("chrf", "characters shared with the nearest human answer", "Popović 2015; sacrebleu", "higher",
           _against_references(overlap.chrf_parts), overlap.chrf),
)  # fmt: skip
VARIETY = (
    Metric("distinct_1", "different words over all words", "Li et al. 2016, sec. 5.2", "higher",
           whole=lambda s: variety.distinct(_texts(s), 1)),
    Metric("distinct_2", "different word pairs over all pairs", "Li et al. 2016, sec. 5.2", "higher",
           whole=lambda s: variety.distinct(_texts(s), 2)),
    Metric("unique_replies", "different replies over all replies", "after Li et al. 2016", "higher",
           whole=lambda s: variety.unique(_texts(s))),
    Metric("self_repetition", "three-word runs that the reply already had", "Welleck et al. 2020", "lower",
           _of_reply(lambda s: variety.self_repetition(s.reply or "")), mean),
    Metric("context_copying", "three-word runs taken from the context", "See et al. 2019, sec. 5.1", "lower",
           _of_reply(lambda s: variety.copied(s.reply or "", s.item.context)), mean),
)  # fmt: skip
SHAPE = (
    Metric("length_words", "words of a reply", "See et al. 2019", "neither",
           _of_reply(lambda s: shape.length(s.reply or "")), mean),
    Metric("question_rate", "replies that ask something", "See et al. 2019, sec. 4", "neither",
           _of_reply(lambda s: shape.asks(s.reply or "")), mean),
    Metric("persona_contradiction", "replies that deny a fact of the persona, by rules: a lower bound",
           "kinds after Nie et al. 2021", "lower", _clash, mean),
)  # fmt: skip
ENGINE = (
    Metric("from_model", "replies in the model's own words (not deflected, crisis, fallback or language lines)",
           "bot/exchange.py", "neither", _of_reply(lambda s: s.reply_source == "model"), mean),
    Metric("safety_acted_on_input", "contexts the filter answered without the model", "safety/filter.py", "neither",
           _of_reply(lambda s: s.reply_source in ("deflection", "crisis")), mean),
    Metric("candidates_stopped", "candidates the filter refused, of those it saw", "safety/filter.py", "neither",
           lambda s: None if s.reply is None or not s.candidates else (s.stopped, s.candidates), mean),
    Metric("seconds", "wall-clock seconds from context to reply, others in the same batch", "measured", "lower",
           _of_reply(lambda s: s.seconds), mean),
)  # fmt: skip
METRICS: dict[str, Metric] = {m.name: m for m in (*LIKELIHOOD, *RANKING, *OVERLAP, *VARIETY, *SHAPE, *ENGINE)}
