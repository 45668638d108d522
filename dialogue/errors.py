"""The errors this program knows, one name for each kind of failure.

::

    ChinwagError                    a person gets its sentence, never a traceback
    ├── UserError                   something a person can put right: wrong name, wrong file, wrong setting
    │   ├── UnknownName             …and the nearest valid name is known
    │   └── MissingExtra            an optional part's libraries are not installed; has the command
    ├── StorageError                the history cannot be read or written (locked, corrupt, disk full, server gone)
    └── DialogueError               no reply could be made this time; the engine answers with a fallback
        ├── Overloaded              the queue is full; try again in ``retry_after_s``
        │   └── WaitTooLong         there is room in the queue, but the answer would come after the deadline
        ├── DeadlineExceeded        ``stage`` names the stage that ran out of time
        ├── Cancelled               nobody waits for the answer any more
        └── ModelError              the model itself failed on this batch
"""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Iterable


class ChinwagError(Exception):
    """Root of all errors that carry one clear sentence for a person."""


class UserError(ChinwagError):
    """Something a person can put right; the sentence says how."""


class UnknownName(UserError):
    """A name that does not exist, with the nearest one that does."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(names) or '(none)'}."
        super().__init__(f"There is no {kind} {name!r}; {hint}")
        self.nearest = near[0] if near else None


class MissingExtra(UserError):
    """An optional part's libraries are not installed; the sentence has the command, for the Python that runs."""

    def __init__(self, need: str, extra: str) -> None:
        super().__init__(f"{need}: run `{shlex.quote(sys.executable)} -m pip install 'chinwag[{extra}]'`.")


class StorageError(ChinwagError):
    """The history cannot be read or written."""


class DialogueError(ChinwagError):
    """No reply could be made this time."""


class Overloaded(DialogueError):
    """The bounded queue is full, or this person already has their fair share of it."""

    def __init__(self, sentence: str, retry_after_s: float = 1.0) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s


class WaitTooLong(Overloaded):
    """The queue has room, but what is before this message would take longer than its deadline allows."""

    def __init__(self, expected_s: float, retry_after_s: float) -> None:
        super().__init__(
            f"So many people talk to the bot that an answer would take {expected_s:.0f} seconds; try again later.",
            retry_after_s,
        )
        self.expected_s = expected_s


class DeadlineExceeded(DialogueError):
    """The one absolute deadline of a message passed; ``stage`` is where it ran out."""

    def __init__(self, stage: str) -> None:
        super().__init__(f"Time ran out while waiting for: {stage}.")
        self.stage = stage


class Cancelled(DialogueError):
    """Nobody waits for this answer any more."""


class ModelError(DialogueError):
    """The model failed on this batch."""
