"""The bot passing itself off as a human being, a professional or somebody in office. Bot side only."""

from __future__ import annotations

import re
from dataclasses import dataclass

from safety import claims, lexicons
from safety.findings import Detector, Finding
from safety.normalise import fold
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_ASKED = re.compile(
    r"\b(?:are|r) (?:you|u) (?:really |actually |even |just )?(?:real|human|a human|a real|a bot|an ai|ai|a robot"
    r"|a person|a machine|alive)\b"
    r"|\b(?:who|what) (?:exactly |really )?are you(?: really| exactly)?(?:\W{0,3}$|\?)"
    r"|am i (?:talking|speaking|chatting) (?:to|with)|\bhuman or\b|\bbot or\b"
    r"|(?:사람|인간|봇|로봇|ai|인공지능|기계|챗봇)(?:이야|이에요|인가요|이니|이냐|입니까|이지|이죠|이야\?|맞아"
    r"|맞지|인지|이에요\?|야\?|\?)|너 ?(?:뭐야|누구)|정체"
)
_SCORES = {1: 0.3, 2: 0.7, 3: 0.93}
_STRENGTHS = {1: 0.2, 2: 0.55, 3: 0.85}


@dataclass(frozen=True)
class ImpersonationDetector:
    """Rules for what is claimed; milder claims count when the bot was asked what it is."""

    name: str = "impersonation"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding for each rule and place; none for what a person says about themselves."""
        if not passage.by_bot:
            return []
        asked = bool(_ASKED.search(passage.answers.lower()))
        hits = lexicons.named_hits(passage.base.text, "impersonation")
        found = [self._finding(hit, passage, asked) for hit in hits]
        claim = claims.false_claim(fold(passage.answers).text, passage.base.text) if passage.answers else ""
        if claim:
            span = (Span(0, len(passage.text), "impersonation:claim"),)
            found.append(Finding("impersonation", _SCORES[3], _STRENGTHS[3], self.name, claim, span))
        return found

    def _finding(self, hit: lexicons.Hit, passage: Passage, asked: bool) -> Finding:
        severity = max(hit.severity, 2) if asked else hit.severity
        span = Span(*passage.base.span(hit.start, hit.end), "impersonation:claim")
        reason = f"rule {hit.line[:60]!r}" + (", asked what it is" if asked else "")
        return Finding("impersonation", _SCORES[severity], _STRENGTHS[severity], self.name, reason, (span,))


def make(policy: Policy) -> Detector:
    """The detector; no policy setting concerns it."""
    return ImpersonationDetector()
