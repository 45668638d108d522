"""A turn in its conversation, read once for all detectors: whose words, in which language, after what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dialogue.turns import Conversation, Role, Turn
from safety.lexicons import Hit, hangul, hits
from safety.normalise import View, fold, views


@dataclass(frozen=True)
class Passage:
    """What a detector sees. Views are made when first asked for."""

    turn: Turn
    so_far: Conversation

    @property
    def text(self) -> str:
        """The words as they were written."""
        return self.turn.text

    @property
    def by_bot(self) -> bool:
        """Whether the bot is about to say this."""
        return self.turn.role is Role.BOT

    @cached_property
    def earlier(self) -> tuple[Turn, ...]:
        """The turns before this one, oldest first."""
        turns = self.so_far.turns
        return turns[:-1] if turns and turns[-1] is self.turn else turns

    @cached_property
    def answers(self) -> str:
        """What this turn answers: the last thing somebody else said, or an empty text."""
        return next((t.text for t in reversed(self.earlier) if t.role is not self.turn.role), "")

    @cached_property
    def base(self) -> View:
        """Normalised, lower case, without invisible signs and look-alike letters."""
        return fold(self.text)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The base view and every reading that undoes a disguise; only those that differ."""
        return views(self.base)

    @cached_property
    def hits(self) -> tuple[tuple[View, Hit], ...]:
        """What word lists and crisis rules find, with the view each was found in."""
        return tuple((view, hit) for view in self.views for hit in hits(view.text))

    @cached_property
    def language(self) -> str:
        """ "ko" when the text shows Hangul, else "en"."""
        return "ko" if hangul(self.base.text) else "en"
