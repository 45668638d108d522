"""An open-loop load generator: requests come when they come, whether or not earlier ones are answered.

Each of ``conversations`` people sends a message every ``pause_s`` seconds on average, as a Poisson process (exponential
gaps), so the offered rate is conversations / pause_s and a slow server gets no mercy (Schroeder et al. 2006, "Open
versus closed"). Latency counts from the moment a message was due.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

TEXTS = (
    "Hello, how are you today?",
    "I went hiking in the mountains last weekend and it rained the whole time.",
    "Do you have any plans for the holidays?",
    "My sister is learning to play the cello and the neighbours are not happy.",
    "What should I cook tonight if I only have rice and eggs?",
    "I just finished a very long book about the sea.",
)


@dataclass(frozen=True, slots=True)
class Level:
    """What one server did at one offered rate; times in seconds, from the moment a message was due.

    ``offered_per_s`` is what was really sent, ``replies_per_s`` the rate between the first reply and the last.
    ``refused`` are answers of 429 or 503; ``failed`` are other errors, messages whose sender gave up waiting, and stock
    lines in place of a reply that was not ready in time.
    """

    server: str
    conversations: int
    offered_per_s: float
    replies_per_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    answered: int
    refused: int
    failed: int

    @property
    def sent(self) -> int:
        """Messages that were sent."""
        return self.answered + self.refused + self.failed


@dataclass(slots=True)
class _Tally:
    seconds: list[float]
    answered_at: list[float]
    refused: int = 0
    failed: int = 0

    def replies_per_s(self, seconds: float) -> float:
        """Replies a second between the first and the last; over the whole time where there are fewer than three."""
        if len(self.answered_at) < 3:
            return len(self.answered_at) / seconds
        return (len(self.answered_at) - 1) / max(1e-9, max(self.answered_at) - min(self.answered_at))


async def offer(
    server: str, url: str, *, conversations: int, pause_s: float, seconds: float, timeout_s: float, seed: int
) -> Level:
    """Offer this load for ``seconds``, wait for the last answers, and say what came of it."""
    tally = _Tally([], [])
    start = time.perf_counter()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s)) as session:
        people = [_person(session, url, start, pause_s, seconds, seed * 1000 + n, tally) for n in range(conversations)]
        await asyncio.gather(*people)
    p50, p95, p99 = percentiles(tally.seconds)
    answered, sent = len(tally.seconds), len(tally.seconds) + tally.refused + tally.failed
    return Level(
        server, conversations, sent / seconds, tally.replies_per_s(seconds), p50, p95, p99,
        answered, tally.refused, tally.failed,
    )  # fmt: skip


async def _person(
    session: aiohttp.ClientSession, url: str, start: float, pause_s: float, seconds: float, seed: int, tally: _Tally
) -> None:
    chance = random.Random(seed)
    due, asked = start + chance.expovariate(1.0 / pause_s), []
    while due < start + seconds:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked.append(asyncio.create_task(_ask(session, url, chance.choice(TEXTS), due, tally)))
        due += chance.expovariate(1.0 / pause_s)
    await asyncio.gather(*asked)


async def _ask(session: aiohttp.ClientSession, url: str, text: str, due: float, tally: _Tally) -> None:
    body = {"messages": [{"role": "user", "content": text}]}
    try:
        async with session.post(f"{url}/v1/chat/completions", json=body) as answer:
            content = await answer.read()
            status = answer.status
    except (aiohttp.ClientError, TimeoutError):
        tally.failed += 1
        return
    if status == 200 and not _is_fallback(content):
        tally.answered_at.append(time.perf_counter())
        tally.seconds.append(tally.answered_at[-1] - due)
    elif status in (429, 503):
        tally.refused += 1
    else:
        tally.failed += 1


def _is_fallback(content: bytes) -> bool:
    """Whether the model did not answer in time and a line of stock came instead; only our server says so."""
    about = json.loads(content).get("chinwag", {})
    return bool(about.get("source") == "fallback")


def percentiles(seconds: Sequence[float]) -> tuple[float, float, float]:
    """The 50th, 95th and 99th percentile; not-a-number where nothing was answered."""
    if not seconds:
        return float("nan"), float("nan"), float("nan")
    if len(seconds) == 1:
        return seconds[0], seconds[0], seconds[0]
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def keeps_up(level: Level) -> bool:
    """No more than one message in twenty is refused or fails, and replies come at 85% or more of the offered rate."""
    return level.answered >= 0.95 * level.sent and level.replies_per_s >= 0.85 * level.offered_per_s


def knee(levels: Sequence[Level]) -> Level:
    """The level of the highest rate that the server keeps up with; the first level where it keeps up with none."""
    kept_up = [level for level in levels if level.sent and keeps_up(level)]
    return max(kept_up or levels[:1], key=lambda level: level.offered_per_s)


def best_within(levels: Sequence[Level], p95_s: float) -> float:
    """The most replies a second that the server keeps up with while 95 in 100 come within this time; 0 for none."""
    return max((each.replies_per_s for each in levels if each.p95_s <= p95_s and keeps_up(each)), default=0.0)
