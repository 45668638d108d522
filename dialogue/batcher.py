"""The async door to the generator: a bounded queue, live batches, deadlines, cancellation.

One thread owns the model and the event loop never runs a tensor operation. Between two steps the thread takes waiting
requests into the live batch (up to ``max_batch``; an idle thread gathers for ``max_wait_s`` first), and drops requests
whose deadline passed or whose caller went away. A full queue refuses at once. A failing batch fails its own requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Protocol

from dialogue.candidates import Candidate
from dialogue.errors import DeadlineExceeded, DialogueError, ModelError, Overloaded
from dialogue.generator import GenerationRequest


class LiveGenerator(Protocol):
    """What the batcher needs of a generator; see dialogue/generator.py."""

    def has_room(self, requests: Sequence[GenerationRequest]) -> bool: ...  # noqa: D102
    def admit(self, requests: Mapping[int, GenerationRequest]) -> None: ...  # noqa: D102
    def step(self) -> dict[int, list[Candidate]]: ...  # noqa: D102
    def progress(self) -> Mapping[int, int]: ...  # noqa: D102
    def drop(self, ticket: int) -> None: ...  # noqa: D102
    def reset(self) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Generated:
    """Candidates, best first, and the seconds they waited and were worked on."""

    candidates: list[Candidate]
    queue_s: float
    decode_s: float


@dataclass(slots=True, eq=False)
class _Job:
    """A request on its way. The future is also the flag: a cancelled future means that nobody waits any more."""

    ticket: int
    request: GenerationRequest
    deadline: float
    on_step: Callable[[int], None]
    arrived: float
    admitted: float = 0.0
    future: Future[Generated] = field(default_factory=Future)


class Batcher:
    """Submits from the event loop, decodes in one thread."""

    def __init__(
        self,
        generator: LiveGenerator,
        *,
        max_queue: int = 64,
        max_batch: int = 8,
        max_wait_s: float = 0.005,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``max_queue`` requests may wait, ``max_batch`` are decoded together; the clock is that of the deadlines."""
        self._generator = generator
        self._max_queue, self._max_batch, self._max_wait_s = max_queue, max_batch, max_wait_s
        self._clock = clock
        self._tickets = itertools.count()
        self._waiting: deque[_Job] = deque()
        self._live: dict[int, _Job] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._keep_working, name="chinwag-model", daemon=True)
        self._thread.start()

    async def submit(
        self, request: GenerationRequest, *, deadline: float, on_step: Callable[[int], None] = lambda tokens: None
    ) -> Generated:
        """Candidates for one conversation. ``on_step`` hears the number of tokens so far, on the event loop.

        Raises Overloaded at once when the queue is full, DeadlineExceeded("queue" or "decoding"), ModelError.
        Cancelling the caller drops the request: at once while it waits, between two steps while it is decoded.
        """
        loop = asyncio.get_running_loop()
        job = _Job(next(self._tickets), request, deadline, _on_loop(loop, on_step), self._clock())
        with self._changed:
            if self._closing or not self._thread.is_alive():
                raise Overloaded("The bot is shutting down; try again in a moment.", retry_after_s=5.0)
            self._waiting = deque(waiting for waiting in self._waiting if not waiting.future.cancelled())
            if len(self._waiting) >= self._max_queue:
                raise Overloaded("Too many people are talking to the bot right now; try again in a moment.")
            self._waiting.append(job)
            self._changed.notify()
        return await asyncio.wrap_future(job.future)

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def live(self) -> int:
        """Requests being decoded."""
        return len(self._live)

    @property
    def alive(self) -> bool:
        """Whether the model thread runs and takes requests."""
        return self._thread.is_alive() and not self._closing

    async def close(self, *, drain_s: float = 10.0) -> None:
        """Take nothing new, finish what is under way for at most ``drain_s``, refuse the rest, join the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join, drain_s)
        with self._changed:
            left = [*self._waiting, *self._live.values()]
            self._waiting.clear()
        for job in left:
            _fail(job, Overloaded("The bot is shutting down; try again in a moment.", retry_after_s=5.0))
        await asyncio.to_thread(self._thread.join, 5.0)

    # --- the model thread -------------------------------------------------------------------------------------------

    def _keep_working(self) -> None:
        """Work to the end. Whatever kills the loop costs those that were being decoded their reply, and nobody else."""
        while True:
            try:
                self._work()
                return
            except BaseException as error:  # also SystemExit: this thread must outlive every single request
                lost, self._live = list(self._live.values()), {}
                for job in lost:
                    _fail(job, ModelError(f"The model was interrupted ({type(error).__name__})."))
                self._generator.reset()

    def _work(self) -> None:
        while self._wait_for_work():
            self._drop_unwanted()
            self._admit(self._take())
            if self._live:
                self._step()

    def _wait_for_work(self) -> bool:
        """Block until there is something to do; ``False`` when all is done and no more will come."""
        with self._changed:
            while not (self._waiting or self._live or self._closing):
                self._changed.wait()
            if not self._live and not self._closing:
                self._gather()
            return bool(self._waiting or self._live)

    def _gather(self) -> None:
        """Give other people's requests ``max_wait_s`` to join the first batch of an idle thread."""
        until = time.monotonic() + self._max_wait_s
        while len(self._waiting) < self._max_batch and (left := until - time.monotonic()) > 0 and not self._closing:
            self._changed.wait(left)

    def _take(self) -> list[_Job]:
        """Jobs that may enter now, oldest first; those that are too late are told so."""
        taken: list[_Job] = []
        with self._changed:
            while self._waiting and len(self._live) + len(taken) < self._max_batch:
                job = self._waiting[0]
                if job.deadline <= self._clock():
                    _fail(job, DeadlineExceeded("queue"))
                elif not job.future.cancelled():
                    if not self._generator.has_room([*(other.request for other in taken), job.request]):
                        break
                    taken.append(job)
                self._waiting.popleft()
        return taken

    def _admit(self, jobs: list[_Job]) -> None:
        """Join the jobs to the live batch; if the model refuses them together, each gets a try of its own."""
        if not jobs:
            return
        now = self._clock()
        try:
            self._generator.admit({job.ticket: job.request for job in jobs})
        except Exception as error:
            if len(jobs) == 1:
                _fail(jobs[0], _as_model_error(error))
                return
            for job in jobs:
                self._admit([job])
            return
        for job in jobs:
            job.admitted = now
            self._live[job.ticket] = job

    def _step(self) -> None:
        try:
            finished = self._generator.step()
        except Exception as error:
            failed, self._live = list(self._live.values()), {}
            self._generator.reset()
            for job in failed:
                _fail(job, _as_model_error(error))
            return
        now = self._clock()
        for ticket, candidates in finished.items():
            job = self._live.pop(ticket)
            _finish(job, Generated(candidates, job.admitted - job.arrived, now - job.admitted))
        for ticket, tokens in self._generator.progress().items():
            self._live[ticket].on_step(tokens)

    def _drop_unwanted(self) -> None:
        for job in list(self._live.values()):
            late = job.deadline <= self._clock()
            if late or job.future.done():
                self._generator.drop(job.ticket)
                del self._live[job.ticket]
            if late:
                _fail(job, DeadlineExceeded("decoding"))


def _on_loop(loop: asyncio.AbstractEventLoop, call: Callable[[int], None]) -> Callable[[int], None]:
    """``call`` made from the model thread, run on the loop; a loop that is gone has nobody to tell."""

    def tell(tokens: int) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call, tokens)

    return tell


def _as_model_error(error: Exception) -> DialogueError:
    if isinstance(error, DialogueError):
        return error
    wrapped = ModelError(f"The model failed on this message ({type(error).__name__}).")
    wrapped.__cause__ = error
    return wrapped


def _finish(job: _Job, generated: Generated) -> None:
    with contextlib.suppress(InvalidStateError):  # close() may have refused it in this very moment
        if job.future.set_running_or_notify_cancel():
            job.future.set_result(generated)


def _fail(job: _Job, error: DialogueError) -> None:
    """Tell the caller, unless they left or were told already."""
    with contextlib.suppress(InvalidStateError):
        if not job.future.done() and job.future.set_running_or_notify_cancel():
            job.future.set_exception(error)
