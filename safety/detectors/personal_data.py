"""Personal data as findings, and its masking. The shapes themselves live in safety/personal."""

from __future__ import annotations

from dataclasses import dataclass

from safety import personal
from safety.findings import Detector, Finding
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span


def mask_text(text: str) -> str:
    """The text with each piece of personal data replaced by its kind in brackets; masking twice changes nothing
    more."""
    for span in reversed(personal.find(text)):
        text = f"{text[: span.start]}[{span.kind}]{text[span.end :]}"
    return text


@dataclass(frozen=True)
class PersonalDataDetector:
    """Finds personal data on both sides of a conversation."""

    name: str = "personal_data"

    def find(self, passage: Passage) -> list[Finding]:
        """One finding per piece; the kind is the span's kind."""
        return [self._finding(span) for span in personal.find(passage.text)]

    def _finding(self, span: Span) -> Finding:
        return Finding("pii", 0.98, 0.9, self.name, f"looks like: {span.kind}", (span,))


def make(policy: Policy) -> Detector:
    """The detector; no policy setting concerns it."""
    return PersonalDataDetector()
