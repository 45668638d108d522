"""How much one key may ask: a token bucket for requests a minute, and a bound on requests at once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_keys import ApiKey


class Limits:
    """Per-key limits of one process. Not shared between replicas: each allows its own share."""

    def __init__(self, *, requests_per_minute: int, at_once: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._at_once, self._clock = requests_per_minute, at_once, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._under_way: Counter[str] = Counter()

    def take(self, key: ApiKey) -> None:
        """Count one request; ApiError 429 with the seconds to wait when the key asked too much."""
        rate = (key.requests_per_minute or self._per_minute) / 60.0
        full = max(1.0, rate * 60.0)
        now = self._clock()
        left, seen = self._buckets.get(key.name, (full, now))
        left = min(full, left + (now - seen) * rate)
        if left < 1.0:
            self._buckets[key.name] = (left, now)
            raise _too_many("This key has used up its requests a minute.", (1.0 - left) / rate)
        self._buckets[key.name] = (left - 1.0, now)

    @contextmanager
    def under_way(self, key: ApiKey) -> Iterator[None]:
        """Hold one of the key's places while a request is worked on; ApiError 429 when there is none."""
        if self._under_way[key.name] >= self._at_once:
            raise _too_many("This key has too many requests under way at once.", 1.0)
        self._under_way[key.name] += 1
        try:
            yield
        finally:
            self._under_way[key.name] -= 1


def _too_many(message: str, retry_after_s: float) -> ApiError:
    return ApiError(429, message, kind="rate_limit_error", code="rate_limit_exceeded", retry_after_s=retry_after_s)
