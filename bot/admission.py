"""Refuses a message at once when its answer could not come in time, so that a queue never grows useless.

What it knows comes from the replies that were finished: how long a reply is decoded, and how much of the model's time
it takes for itself when others are decoded beside it. A message that would wait behind ``n`` others is expected to take
``n`` times the latter plus the former (Little's law, with the service time measured instead of assumed).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from dialogue.errors import WaitTooLong

_WEIGHT = 0.2
"""Of the newest reply in the running means: some ten replies make up the picture."""


HEADROOM = 0.7
"""Of a message's time that the expected wait may fill: expectations are means, and one reply in two takes longer."""


class Admission:
    """Learns from finished replies; lets a message in or refuses it. For one event loop; nothing here blocks."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """The clock is that of the deadlines, in seconds."""
        self._clock = clock
        self.decode_s = 0.0
        self.share_s = 0.0

    def learn(self, decode_s: float, neighbours: float) -> None:
        """One reply took ``decode_s`` seconds; ``neighbours`` replies, itself included, were decoded on average."""
        share_s = decode_s / max(1.0, neighbours)
        first = not self.decode_s
        self.decode_s = decode_s if first else (1 - _WEIGHT) * self.decode_s + _WEIGHT * decode_s
        self.share_s = share_s if first else (1 - _WEIGHT) * self.share_s + _WEIGHT * share_s

    def expected_s(self, waiting: int) -> float:
        """Seconds until a message that comes in behind ``waiting`` others is answered; 0 before the first reply."""
        return waiting * self.share_s + self.decode_s

    def check(self, waiting: int, deadline: float) -> None:
        """WaitTooLong when the message would hardly be answered by its deadline. With nobody waiting all are let in:
        a model that became slow must get the chance to show that it is fast again."""
        late_s = self.expected_s(waiting) - HEADROOM * (deadline - self._clock())
        if waiting and late_s > 0:
            raise WaitTooLong(self.expected_s(waiting), retry_after_s=late_s)


class Neighbours:
    """The mean number of replies decoded together, looked at with every step of one of them."""

    def __init__(self, live: Callable[[], int], on_step: Callable[[int], None]) -> None:
        self._live, self._on_step = live, on_step
        self._steps = self._seen = 0

    def step(self, tokens: int) -> None:
        """One more token: look around, then pass the news on."""
        self._steps += 1
        self._seen += self._live()
        self._on_step(tokens)

    @property
    def mean(self) -> float:
        """The mean so far; 1 before the first step."""
        return self._seen / self._steps if self._steps else 1.0
