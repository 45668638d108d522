"""The questions a door asks about a reply, under a version that is stored with every answer.

The program hands one in (chinwag.py); without that, the form below. Knows nothing of how ratings are evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dialogue.errors import UnknownName, UserError


@dataclass(frozen=True, slots=True)
class RatingForm:
    """Labels with their questions; every answer is 0 (no) or 1 (yes)."""

    version: str
    questions: Mapping[str, str] = field(default_factory=dict)

    def check(self, label: str, value: int) -> None:
        """UnknownName for a label that is not asked, UserError for an answer other than 0 or 1."""
        if label not in self.questions:
            raise UnknownName("rating label", label, self.questions)
        if value not in (0, 1):
            raise UserError(f"A rating is 0 (no) or 1 (yes), not {value}.")


DEFAULT_FORM = RatingForm(
    "door-1",
    {"liked": "Is this a good reply?", "sensible": "Does this make sense here?", "specific": "Is it specific?"},
)
"""Thumbs, and the two questions of Adiwardana et al. 2020, section 2.1, in short."""
