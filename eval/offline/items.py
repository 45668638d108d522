"""What is evaluated: one context with its human answers. Plain frozen values; no files, no models."""

from __future__ import annotations

from dataclasses import dataclass

from bot.batch import Row
from dialogue.persona_cards import load_persona
from dialogue.turns import Persona


@dataclass(frozen=True, slots=True)
class Item:
    """A context whose last turn was said to the bot.

    ``references`` are human answers, ``negatives`` tempting wrong ones; ``group`` names the conversation an item was
    cut from: items of one group are not independent, and intervals resample whole groups.
    """

    id: str
    context: tuple[str, ...]
    references: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    group: str = ""
    source: str = ""

    def row(self, persona: Persona) -> Row:
        """The same as the batch engine takes it; the item's own persona facts replace ``persona``."""
        return Row(self.id, self.context, Persona("custom", self.facts) if self.facts else persona)


def persona_named(name: str) -> Persona:
    """A persona card, or nobody at all for the empty name: what likelihoods of corpora are measured with."""
    return load_persona(name) if name else Persona("nobody")
