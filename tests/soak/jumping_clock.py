"""Runs a Python program whose wall clock jumps: ``python jumping_clock.py FILE PROGRAM ARGUMENTS…``.

FILE holds the seconds by which the clock is wrong, read anew at every look at the clock. Only the wall clock is touched
(``time.time`` and ``datetime.now``), as when somebody sets a machine's clock: the monotonic clock goes on. libfaketime
is not used: under it Python's timed waits hang.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from pathlib import Path
from typing import Any

_real_time, _real_datetime = time.time, datetime.datetime


def main() -> None:
    """Put the clock in place before anything else is imported, then become the program."""
    clock, program = Path(sys.argv[1]), sys.argv[2]

    def wrong_by_s() -> float:
        return float(clock.read_text() or 0)

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, _real_datetime)

    class Jumping(datetime.datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return _real_datetime.fromtimestamp(_real_time() + wrong_by_s(), tz)

    time.time = lambda: _real_time() + wrong_by_s()
    time.time_ns = lambda: int(1e9 * time.time())
    datetime.datetime = Jumping  # type: ignore[misc]
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
