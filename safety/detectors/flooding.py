"""Flooding: mass mentions, piles of links, and the same thing over and over. Structure only; no word lists."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from safety.findings import Detector, Finding
from safety.passage import Passage
from safety.policy import Policy
from safety.verdict import Span

_EVERYBODY = re.compile(r"(?<![\w@.])@(?:everyone|here)\b", re.IGNORECASE)
_MENTION = re.compile(r"<@[!&]?\d{1,25}>|(?<![\w@.])@[\w.]{2,32}")
_LINK = re.compile(r"(?:https?://|www\.|discord\.gg/|bit\.ly/|t\.me/)\S{1,300}", re.IGNORECASE)
_RUN = re.compile(r"(\S)\1{29,}")
_LAUGHTER = frozenset("ㅋㅎㅠㅜ.!?~-=_*#ㅏㅑ하호히")
_MANY_MENTIONS, _MANY_LINKS, _REPEATS = 5, 4, 6


@dataclass(frozen=True)
class FloodingDetector:
    """Counts, with the earlier turns of the same person for repeats."""

    name: str = "flooding"

    def find(self, passage: Passage) -> list[Finding]:
        """Mass mentions, links and repetition, each at most once."""
        text = passage.text
        found = [self._mentions(text), self._links(text), self._run(text), self._words(text)]
        if not passage.by_bot:
            found.append(self._again(passage))
        return [finding for part in found for finding in part]

    def _mentions(self, text: str) -> list[Finding]:
        everybody = list(_EVERYBODY.finditer(text))
        mentions = list(_MENTION.finditer(text)) if "@" in text else []
        if not everybody and len({m.group() for m in mentions}) < _MANY_MENTIONS:
            return []
        spans = tuple(Span(m.start(), m.end(), "flooding:mention") for m in everybody or mentions)
        reason = "mentions everybody" if everybody else f"mentions {len(mentions)} people"
        return [Finding(category, 0.97, 0.9, self.name, reason, spans) for category in ("mentions", "spam")]

    def _links(self, text: str) -> list[Finding]:
        links = list(_LINK.finditer(text))
        if len(links) < _MANY_LINKS:
            return []
        spans = tuple(Span(m.start(), m.end(), "flooding:link") for m in links)
        return [Finding("spam", 0.85, 0.6, self.name, f"{len(links)} links", spans)]

    def _run(self, text: str) -> list[Finding]:
        for m in _RUN.finditer(text):
            if m.group(1).lower() not in _LAUGHTER or m.end() - m.start() > 400:
                strength = 0.6 if m.end() - m.start() >= 40 else 0.5
                return [
                    Finding(
                        "spam",
                        0.8,
                        strength,
                        self.name,
                        "one sign repeated",
                        (Span(m.start(), m.end(), "flooding:repeat"),),
                    )
                ]
        return []

    def _words(self, text: str) -> list[Finding]:
        """The same word, or the same few words, as most of a text of a dozen words and more."""
        tokens = text.lower().split()[:2000]
        if len(tokens) < 12:
            return []
        for size in (1, 2, 3):
            parts = [" ".join(tokens[i : i + size]) for i in range(0, len(tokens) - size + 1, size)]
            part, count = Counter(parts).most_common(1)[0]
            if count >= _REPEATS and count * size >= 0.7 * len(tokens) and not set(part) <= _LAUGHTER:
                return [Finding("spam", 0.85, 0.6, self.name, "the same words repeated", ())]
        return []

    def _again(self, passage: Passage) -> list[Finding]:
        """The same longer message for the fourth time in a row by one person."""
        mine = [
            turn for turn in passage.earlier if turn.role is passage.turn.role and turn.speaker == passage.turn.speaker
        ]
        last = [turn.text for turn in mine[-3:]]
        if len(passage.text) >= 20 and len(last) == 3 and all(text == passage.text for text in last):
            return [Finding("spam", 0.8, 0.6, self.name, "the same message again and again")]
        return []


def make(policy: Policy) -> Detector:
    """The detector; no policy setting concerns it, and mass mentions cannot be switched off."""
    return FloodingDetector()
