"""The learned linear model as a detector: every category's probability, and the n-grams that weighed most.

Long texts are judged in overlapping pieces, the worst of which counts, so that padding cannot dilute a finding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from safety import answers, features, loaded_claims
from safety.findings import Detector, Finding
from safety.lexicons import hits
from safety.linear_model import Floats, LinearModel, Read, read, shipped_model
from safety.normalise import View, fold, views
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_STEP = features.MAX_CHARS * 3 // 4
_EXPLAINED = 0.3
_CALMED = 0.29
_AGREED = 0.2
_ALONE, _SUPPORT, _UNSUPPORTED = 0.85, 0.4, 0.49
_SWEARING = frozenset({"offensive", "unsafe"})
_AT_LARGE = 0.69


def _read_piece(text: str) -> Read:
    base = fold(text)
    return read(base, [hit for view in views(base) for hit in hits(view.text)])


def pieces(text: str) -> list[str]:
    """A text in overlapping parts of at most MAX_CHARS signs."""
    starts = range(0, max(1, len(text) - features.MAX_CHARS + _STEP), _STEP)
    return [text[start : start + features.MAX_CHARS] for start in starts]


@dataclass(frozen=True)
class LinearDetector:
    """The text layer on both sides; the context layer where the bot answers something."""

    model: LinearModel
    name: str = "linear"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding for each head; most are weak and only carry their score."""
        if len(passage.text) <= features.MAX_CHARS:
            reads = [read(passage.base, [hit for _, hit in passage.hits])]
        else:
            reads = [_read_piece(piece) for piece in pieces(passage.base.text)]
        logits = [self.model.text_logits(seen) for seen in reads]
        worst = int(np.argmax([row[0] for row in logits]))
        found = self._findings(np.max(logits, axis=0), reads[worst], passage)
        if passage.by_bot and passage.answers:
            # The context layer has the text's own score among its inputs; alone that score says less about a reply.
            found = [replace(f, score=f.score / 2) if f.category == "unsafe" else f for f in found]
            found += self._in_context(passage, reads[worst])
        return found

    def _findings(self, logits: Floats, seen: Read, passage: Passage) -> list[Finding]:
        layer, lang = self.model.text, passage.language
        chances = layer.probabilities(logits, lang)
        strengths = layer.strengths(chances, lang)
        if chances[0] < _ALONE and not seen.rules and strengths[1:-1].max() < _SUPPORT:
            strengths[0] = min(
                strengths[0], _UNSUPPORTED
            )  # the overall head does not act on a mere suspicion of its own
        if not passage.by_bot and not passage.addressed:  # swearing at large is softened, not blocked
            strengths = np.where(
                [head in _SWEARING for head in layer.heads], np.minimum(strengths, _AT_LARGE), strengths
            )
        out = []
        for at, head in enumerate(layer.heads):
            strong = strengths[at] >= _EXPLAINED and head != "sensitive"
            words = strongest_words(self.model, seen, at) if strong else []
            reason = f"{head}: " + ", ".join(f"{word} {weight:+.2f}" for word, weight in words) if words else ""
            places = _places(passage.base, [word for word, _ in words]) if strengths[at] >= 0.5 else []
            spans = tuple(Span(start, end, f"linear:{head}") for start, end in places)
            out.append(Finding(head, float(chances[at]), float(strengths[at]), self.name, reason, spans))
        return out

    def _in_context(self, passage: Passage, seen: Read) -> list[Finding]:
        """A reply given what it answers."""
        before = _read_piece(passage.answers[-features.MAX_CHARS :])
        layer, lang = self.model.context, passage.language
        chances = layer.probabilities(self.model.context_logits(seen, before), lang)
        strengths = layer.strengths(chances, lang)
        chances[0] = _mean_of_odds(
            float(chances[0]), float(1 - np.prod(1 - chances[1:4]))
        )  # overall, and any kind about replies
        reply = passage.base.text
        merely = answers.merely_agrees(reply) and not answers.distressed(before.text)
        if (merely or answers.agrees(reply)) and self._harmless(before):
            # "Yes, that's right" to a harmless line: agreement alone is no reason to act, and no sign of harm.
            strengths, chances = np.minimum(strengths, _CALMED), chances * (_AGREED if merely else 1)
        if answers.disagrees(passage.base.text) or (before.at_risk and answers.cares(passage.base.text)):
            # Objecting and caring use the words of what they answer; the learned layer mistakes them for agreement.
            strengths, chances = np.minimum(strengths, _CALMED), chances * _CALMED
        reasons = [
            f"{head}, given what it answers" if strengths[at] >= _EXPLAINED else ""
            for at, head in enumerate(layer.heads)
        ]
        rows = zip(layer.heads, chances, strengths, reasons, strict=True)
        return [Finding(head, float(p), float(s), "linear in context", reason) for head, p, s, reason in rows]

    def _harmless(self, seen: Read) -> bool:
        """Whether a text by itself is far from anything acted upon, and no loaded claim."""
        if seen.rules or loaded_claims.loaded(seen.text):
            return False
        layer, lang = self.model.text, seen.language
        strengths = layer.strengths(layer.probabilities(self.model.text_logits(seen), lang), lang)
        return bool(strengths[:-1].max() < 0.5)


def _mean_of_odds(first: float, second: float) -> float:
    """The chance whose log-odds are the mean of two chances'."""
    a, b = (min(max(float(chance), 1e-6), 1 - 1e-6) for chance in (first, second))
    return 1 / (1 + math.sqrt((1 - a) * (1 - b) / (a * b)))


def strongest_words(model: LinearModel, seen: Read, head: int, top: int = 3) -> list[tuple[str, float]]:
    """The words and pairs with the largest weights for a head, and those weights, in logits."""
    grams = [*seen.tokens, *(f"{a} {b}" for a, b in zip(seen.tokens, seen.tokens[1:], strict=False))]
    if not grams:
        return []
    buckets = features.word_features(seen.tokens)
    weights = model.text.table[buckets, head] * model.text.scale[head] / np.sqrt(max(1, len(seen.words)))
    ranked = sorted({gram: float(w) for gram, w in zip(grams, weights, strict=True)}.items(), key=lambda pair: -pair[1])
    return [(gram, weight) for gram, weight in ranked[:top] if weight > 0]


def _places(base: View, grams: list[str]) -> list[tuple[int, int]]:
    """Where the strongest n-grams stand in the original; those changed by reading are left out."""
    found = []
    for gram in grams:
        at = base.text.find(gram)
        if at >= 0:
            found.append(base.span(at, at + len(gram)))
    return found


def make(policy: Policy) -> Detector:
    """The detector with the shipped weights."""
    return LinearDetector(shipped_model())
