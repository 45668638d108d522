"""Order and moderation in channels: one lane per channel, a cooldown per person, a guard against loops."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

RECENT = 10_000
LOOP_WINDOW_S = 60.0
LOOP_REPLIES = 30
ECHO_CHARS = 20
"""Shorter words than these people say too: only the number of messages tells such a loop."""
MINUTE_S = 60.0
LARGEST_QUOTA = 600
"""Messages a minute that a limit can be set to, at most."""


class LaneFull(Exception):
    """So many messages wait in this channel that one more would wait too long."""


@dataclass(eq=False)
class _Lane:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    inside: int = 0


class Lanes:
    """First come, first served, per channel; the lane is held until the answer is sent, so answers keep their order."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._lanes: WeakValueDictionary[int, _Lane] = WeakValueDictionary()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @asynccontextmanager
    async def turn(self, channel_id: int) -> AsyncIterator[None]:
        """Hold the channel's lane. LaneFull at once when ``longest`` wait already."""
        lane = self._lanes.get(channel_id)
        if lane is None:
            lane = self._lanes[channel_id] = _Lane()
        if lane.inside > self._longest:
            raise LaneFull
        lane.inside += 1
        try:
            with self.under_way():
                async with lane.lock:
                    yield
        finally:
            lane.inside -= 1

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Work that has to end before the bot may leave, in a lane or not yet."""
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def idle(self, timeout_s: float) -> bool:
        """Wait until nothing is under way; whether that came true in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True


class Recent:
    """Message ids seen lately: what a resumed session replays is not taken twice."""

    def __init__(self, size: int = RECENT) -> None:
        self._seen: OrderedDict[int, None] = OrderedDict()
        self._size = size

    def is_new(self, message_id: int) -> bool:
        """Whether this id is seen for the first time; remembers it."""
        if message_id in self._seen:
            return False
        self._seen[message_id] = None
        if len(self._seen) > self._size:
            self._seen.popitem(last=False)
        return True


class Cooldown:
    """At least so many seconds between two messages of a person."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: OrderedDict[int, float] = OrderedDict()

    def allows(self, person_id: int, seconds: float) -> bool:
        """Whether the person may speak now; if so the time counts from here."""
        now = self._clock()
        if seconds > 0 and now - self._last.get(person_id, -1e9) < seconds:
            return False
        self._last[person_id] = now
        self._last.move_to_end(person_id)
        if len(self._last) > RECENT:
            self._last.popitem(last=False)
        return True


class Quota:
    """At most so many messages in any minute, for whatever a key stands for: a person on a server, a channel."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[tuple[str, int | None, int], deque[float]] = OrderedDict()

    def has_room(self, key: tuple[str, int | None, int], per_minute: int | None) -> bool:
        """Whether one more message keeps within the limit; None is no limit. Counts nothing."""
        times = self._times.get(key)
        while times and times[0] <= self._clock() - MINUTE_S:
            times.popleft()
        return per_minute is None or not times or len(times) < per_minute

    def take(self, key: tuple[str, int | None, int]) -> None:
        """Count one message."""
        self._times.setdefault(key, deque(maxlen=LARGEST_QUOTA)).append(self._clock())
        self._times.move_to_end(key)
        if len(self._times) > RECENT:
            self._times.popitem(last=False)


class LoopGuard:
    """Notices when the bot talks with something that answers by itself: an echo of it, or no end of messages.

    Everything that is said to an author counts, kind words too: a loop can consist of those alone. After
    LOOP_REPLIES within LOOP_WINDOW_S the bot keeps silent towards the author for as long, and says so once.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: dict[tuple[int, int], deque[float]] = {}
        self._said: dict[int, str] = {}
        self._silent_until: dict[tuple[int, int], float] = {}
        self._untold: set[tuple[int, int]] = set()

    def allows(self, channel_id: int, person_id: int, text: str) -> bool:
        """False for a sentence of the bot's own coming back, and while the bot keeps silent towards the author."""
        text = text.strip()
        if len(text) >= ECHO_CHARS and text == self._said.get(channel_id):
            return False
        return self._clock() >= self._silent_until.get((channel_id, person_id), float("-inf"))

    def says_so(self, channel_id: int, person_id: int) -> bool:
        """Whether the author has still to be told of the silence; True once."""
        untold = (channel_id, person_id) in self._untold
        self._untold.discard((channel_id, person_id))
        return untold

    def said(self, channel_id: int, person_id: int, text: str) -> None:
        """Remember what was said to an author."""
        if len(self._times) > RECENT:
            for memory in (self._times, self._said, self._silent_until, self._untold):
                memory.clear()
        now, both = self._clock(), (channel_id, person_id)
        times = self._times.setdefault(both, deque())
        times.append(now)
        while times[0] < now - LOOP_WINDOW_S:
            times.popleft()
        if len(times) >= LOOP_REPLIES:
            times.clear()
            self._silent_until[both] = now + LOOP_WINDOW_S
            self._untold.add(both)
        self._said[channel_id] = text.strip()
