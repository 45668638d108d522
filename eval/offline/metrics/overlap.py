"""How much a reply shares with human answers: word F1, BLEU and chrF, each against several references.

BLEU and chrF are kept as sums of counts, so that a corpus score can be resampled; the scores equal sacrebleu's.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
BLEU_ORDER, CHRF_ORDER, CHRF_BETA = 4, 6, 2


def normalised(text: str) -> list[str]:
    """Words in lower case without punctuation and articles, as SQuAD and ParlAI count them (Rajpurkar et al. 2016)."""
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def f1(reply: str, references: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall, the best over the references, in [0, 1].

    Rajpurkar et al. 2016, section 6.1; for dialogue Dinan et al. 2019. Two texts without words agree wholly.
    """
    return max((_f1(normalised(reply), normalised(reference)) for reference in references), default=0.0)


def _f1(own: list[str], other: list[str]) -> float:
    if not own or not other:
        return float(own == other)
    shared = sum((Counter(own) & Counter(other)).values())
    return 2 * shared / (len(own) + len(other))


@lru_cache(maxsize=1)
def _tokeniser() -> object:
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    return Tokenizer13a()  # type: ignore[no-untyped-call]


def bleu_words(text: str) -> list[str]:
    """mteval-13a tokens, sacrebleu's default (Post 2018)."""
    words: list[str] = _tokeniser()(text.rstrip()).split()  # type: ignore[operator]
    return words


def _grams(units: Sequence[str], longest: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(units[i : i + n]) for n in range(1, longest + 1) for i in range(len(units) - n + 1))


def bleu_parts(reply: str, references: Sequence[str]) -> tuple[float, ...]:
    """Matches of orders 1 to 4, candidates of orders 1 to 4, reply length, closest reference length: 10 sums."""
    own, others = bleu_words(reply), [bleu_words(reference) for reference in references]
    most: Counter[tuple[str, ...]] = Counter()
    for other in others:
        most |= _grams(other, BLEU_ORDER)
    matched = [0.0] * BLEU_ORDER
    for gram, count in _grams(own, BLEU_ORDER).items():
        matched[len(gram) - 1] += min(count, most[gram])
    total = [float(max(len(own) - n, 0)) for n in range(BLEU_ORDER)]
    closest = min((abs(len(other) - len(own)), len(other)) for other in others)[1]
    return (*matched, *total, float(len(own)), float(closest))


def bleu(sums: Sequence[float]) -> float:
    """Corpus BLEU in [0, 100] from summed parts (Papineni et al. 2002; exponential smoothing as in sacrebleu)."""
    from sacrebleu.metrics.bleu import BLEU

    matched, total = [int(x) for x in sums[:BLEU_ORDER]], [int(x) for x in sums[BLEU_ORDER : 2 * BLEU_ORDER]]
    return float(BLEU.compute_bleu(matched, total, int(sums[-2]), int(sums[-1]), smooth_method="exp").score)


def chrf_parts(reply: str, references: Sequence[str]) -> tuple[float, ...]:
    """Character n-grams of orders 1 to 6 (reply, reference, shared) against the best reference: 18 sums.

    Popović 2015: white space left out, beta 2, no word n-grams.
    """
    own = _characters(reply)
    each = [_chrf_parts(own, _characters(reference)) for reference in references]
    return max(each, key=chrf)


def _characters(text: str) -> list[Counter[str]]:
    plain = "".join(text.split())
    return [Counter(plain[i : i + n] for i in range(len(plain) - n + 1)) for n in range(1, CHRF_ORDER + 1)]


def _chrf_parts(own: Sequence[Counter[str]], other: Sequence[Counter[str]]) -> tuple[float, ...]:
    found: list[float] = []
    for mine, theirs in zip(own, other, strict=True):
        size = sum(theirs.values())
        found += [float(sum(mine.values())) if size else 0.0, float(size), float(sum((mine & theirs).values()))]
    return tuple(found)


def chrf(sums: Sequence[float]) -> float:
    """Corpus chrF in [0, 100] from summed parts: F of the mean precision and recall over the orders that occur."""
    precision = recall = orders = 0.0
    for order in range(CHRF_ORDER):
        own, other, shared = sums[3 * order : 3 * order + 3]
        if own > 0 and other > 0:
            precision, recall, orders = precision + shared / own, recall + shared / other, orders + 1
    if not orders or precision + recall == 0:
        return 0.0
    precision, recall, factor = precision / orders, recall / orders, CHRF_BETA**2
    score = (1 + factor) * precision * recall
    return 100 * (score / (factor * precision + recall))


def runs_of(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Every run of ``n`` words, in order."""
    return list(pairwise(words)) if n == 2 else [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
