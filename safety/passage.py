"""A turn in its conversation, read once for all detectors: whose words, in which language, after what."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from dialogue.turns import Conversation, Role, Turn
from safety.lexicons import Hit, hangul, hits, other_scripts
from safety.normalise import View, fold, views

_ADDRESSED = re.compile(
    r"\b(?:you|your|you're|youre|yourself|u|ur|bot|chatbot|machine|off|up)\b"
    r"|(?:^|\s)(?:너|넌|니|네|네가|니가|당신|너희|니들|니네|야)(?:\s|는|를|도|희|네|들|$)|(?:끼|놈|년|신|봇)(?:아|야)|꺼져|닥쳐|뒤져|죽어"
)


WHOLE = 12_000
"""Texts up to this many signs are read whole. Of longer ones words are looked for in the first and last 4,000 and in
evenly spread windows between, so that a verdict takes bounded time; personal data and flooding are looked for in all
of it."""
_ENDS, _BETWEEN, _WINDOW = 4_000, 16, 250
_SEAM = "\n" * 6  # longer than any gap a rule may bridge


def _excerpt(text: str) -> View:
    """The ends of a text and windows between as one base view, mapped back to the original."""
    inner = len(text) - 2 * _ENDS - _WINDOW
    starts = [_ENDS + inner * at // (_BETWEEN - 1) for at in range(_BETWEEN)]
    windows = [(0, _ENDS), *((start, start + _WINDOW) for start in starts), (len(text) - _ENDS, len(text))]
    letters, firsts, lasts = "", list[int](), list[int]()
    for start, end in windows:
        part = fold(text[start:end])
        letters += part.text + _SEAM
        firsts += [start + at for at in part.starts] + [end - 1] * len(_SEAM)
        lasts += [start + at for at in part.ends] + [end] * len(_SEAM)
    return View("base", letters, firsts, lasts)


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
        """Normalised, lower case, without invisible signs and look-alike letters; of a huge text an excerpt."""
        return fold(self.text) if len(self.text) <= WHOLE else _excerpt(self.text)

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The base view and every reading that undoes a disguise; only those that differ."""
        return views(self.base)

    @cached_property
    def hits(self) -> tuple[tuple[View, Hit], ...]:
        """What word lists and crisis rules find, with the view each was found in."""
        foreign = other_scripts(self.text[:WHOLE])
        return tuple((view, hit) for view in self.views for hit in hits(view.text, foreign=foreign))

    @cached_property
    def addressed(self) -> bool:
        """Whether the words are aimed at somebody: "you", a call, an imperative. Swearing at large is milder."""
        return any(_ADDRESSED.search(view.text) for view in self.views)

    @cached_property
    def language(self) -> str:
        """ "ko" when the text shows Hangul, else "en"."""
        return "ko" if hangul(self.base.text) else "en"
