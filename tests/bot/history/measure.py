"""How long the history takes: ``python -m tests.bot.history.measure [--exchanges N] [--postgres]``. Not a test.

Prints a table for people and one line of JSON for programs; times in milliseconds, on a fresh database.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.history.database import check, upgrade
from bot.history.opening import open_store
from bot.history.store import HistoryStore
from dialogue.turns import ConversationKey, PersonKey
from tests.bot.history.makers import KEY, exchange, sqlite_url
from tests.postgres import postgres_server

CANDIDATES = tuple(f"A reply of about ten words, as number {number} of ten." for number in range(10))


class Watch:
    """Milliseconds by name."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time the block."""
        start = time.perf_counter()
        yield
        self.times.setdefault(name, []).append(1000 * (time.perf_counter() - start))


def measure(store: HistoryStore, exchanges: int) -> dict[str, float]:
    """Milliseconds of each step of a message, over ``exchanges`` messages of 50 people in 100 conversations."""
    watch = Watch()
    for number in range(exchanges):
        key, person = ConversationKey("bench", str(number % 100)), PersonKey("bench", str(number % 50))
        told = exchange("How was your day? " * 4, person=person, message_id=f"m{number}", candidates=CANDIDATES)
        with watch.timed("the whole, locked"), store.lock(key, timeout_s=5):
            with watch.timed("answered"):
                store.answered(key, f"m{number}")
            with watch.timed("load 40"):
                store.load(key, last=40)
            with watch.timed("append"):
                store.append(key, told)
    return {f"{name} {tag}": pick(values) for name, values in watch.times.items() for tag, pick in QUANTILES.items()}


QUANTILES: dict[str, Callable[[list[float]], float]] = {
    "p50": statistics.median,
    "p95": lambda values: statistics.quantiles(values, n=20)[-1],
}


def main() -> None:
    """Measure SQLite, or PostgreSQL on a server started for it, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--exchanges", type=int, default=2000)
    options.add_argument("--postgres", action="store_true")
    given = options.parse_args()
    if given.postgres:
        with postgres_server() as server:
            _report(server.new_database(), given.exchanges)
    else:
        with tempfile.TemporaryDirectory() as folder:
            _report(sqlite_url(Path(folder)), given.exchanges)


def _report(url: str, exchanges: int) -> None:
    upgrade(url)
    store = open_store(url, person_key=KEY)
    empty = check(url).size_bytes
    figures = measure(store, exchanges)
    start = time.perf_counter()
    counts = store.forget(PersonKey("bench", "7"))
    figures["forget one of 50 people"] = 1000 * (time.perf_counter() - start)
    store.close()
    figures["bytes per exchange"] = (check(url).size_bytes - empty) / (exchanges - counts.counts["turns"] / 2)
    for name, value in figures.items():
        print(f"{name:<26}{value:10.2f}")  # noqa: T201 - a script's table
    print(json.dumps({"url": url.split(":")[0], "exchanges": exchanges, **figures}))  # noqa: T201


if __name__ == "__main__":
    main()
