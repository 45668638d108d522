"""Words and phrases from our own lists, in every reading of the text. Knows no context and takes no decision."""

from __future__ import annotations

import re
from dataclasses import dataclass

from safety.findings import Detector, Finding
from safety.lexicons import Hit
from safety.normalise import View
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_SCORES = {1: 0.35, 2: 0.85, 3: 0.97}
_STRENGTHS = {1: 0.35, 2: 0.6, 3: 0.9}
_AIMED = 0.75
_WORDS = re.compile(r"[\w']+")


@dataclass(frozen=True)
class LexiconDetector:
    """The rule lists plus a server's own allowed and denied words."""

    allow_words: frozenset[str]
    deny_words: frozenset[str]
    name: str = "lexicon"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding for each rule and place, in the original's code points."""
        found: dict[tuple[int, int, str], Finding] = {}
        for view, hit in passage.hits:
            if hit.source != self.name or view.text[hit.start : hit.end] in self.allow_words:
                continue
            start, end = view.span(hit.start, hit.end)
            found.setdefault((start, end, hit.category), self._finding(start, end, hit, view, passage.addressed))
        return [*found.values(), *self._denied(passage.base)]

    def _finding(self, start: int, end: int, hit: Hit, view: View, addressed: bool) -> Finding:
        score, strength = _SCORES[hit.severity], _STRENGTHS[hit.severity]
        if hit.severity == 2 and hit.category == "offensive" and addressed:
            strength = _AIMED
        reason = f"rule {hit.line[:60]!r}" + (f" in the {view.name} reading" if view.name != "base" else "")
        span = Span(start, end, f"lexicon:{hit.category}")
        return Finding(hit.category, score, strength, self.name, reason, (span,))

    def _denied(self, base: View) -> list[Finding]:
        if not self.deny_words:
            return []
        words = [m for m in _WORDS.finditer(base.text) if m.group() in self.deny_words]
        spans = [Span(*base.span(m.start(), m.end()), "lexicon:denied") for m in words]
        return [Finding("offensive", 0.97, 0.9, self.name, "denied word", (span,)) for span in spans]


def make(policy: Policy) -> Detector:
    """The detector with the words of a policy."""
    return LexiconDetector(policy.allow_words, policy.deny_words)
