"""A turn in its conversation, read once for all detectors: whose words, in which language, after what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from dialogue.turns import Conversation, Role, Turn
from safety.lexicons import Hit, hangul, hits
from safety.normalise import View, fold, views

_ADDRESSED = re.compile(
    r"\b(?:you|your|you're|youre|yourself|u|ur|bot|chatbot|machine|off|up)\b"
    r"|(?:^|\s)(?:너|넌|니|네|네가|니가|당신|너희|니들|니네|야)(?:\s|는|를|도|희|네|들|$)|(?:끼|놈|년|신|봇)(?:아|야)|꺼져|닥쳐|뒤져|죽어"
)


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
    def addressed(self) -> bool:
        """Whether the words are aimed at somebody: "you", a call, an imperative. Swearing at large is milder."""
        return any(_ADDRESSED.search(view.text) for view in self.views)

    @cached_property
    def language(self) -> str:
        """ "ko" when the text shows Hangul, else "en"."""
        return "ko" if hangul(self.base.text) else "en"
