"""Runs a suite: replies and likelihoods of every item into a folder, resumable, by one process, several, or Ray.

A run's numbers depend on the suite, the data, the model, the decoding and the seed, never on who did which part:
seeds go by an item's place, scoring batches have fixed borders. Work that was written is never done again.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import multiprocessing
import queue
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from bot.batch import Output
from dialogue.errors import ModelError, UserError
from eval.offline.answerer import Answerer, Work, open_answerer
from eval.offline.items import Item
from eval.offline.metrics.energy import Cost, Meter
from eval.offline.suite import Suite, digest

ANSWER_CHUNK, SCORE_CHUNK = 32, 16
Stage = Literal["replies", "likelihood"]
OnProgress = Callable[[Stage, int], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive items and the place of the first one in the run."""

    stage: Stage
    start: int
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One run. ``workers`` processes on this machine, or actors on the Ray cluster at ``ray`` ("auto", an address)."""

    suite: Suite
    items: tuple[Item, ...]
    hashes: Mapping[str, str]
    work: Work
    out: Path
    workers: int = 1
    ray: str | None = None


def run(plan: Plan, on_progress: OnProgress, on_line: Callable[[str], None]) -> dict[str, Any]:
    """Do what is not done yet; the record of what made the results. UserError when the folder holds another run."""
    plan.out.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_run(plan, on_progress, on_line))


async def _run(plan: Plan, on_progress: OnProgress, on_line: Callable[[str], None]) -> dict[str, Any]:
    async with open_answerer(plan.work, on_line) as answerer:
        identity = answerer.made_by() | {
            "suite": digest(plan.suite.as_dict()),
            "items": digest([asdict(item) for item in plan.items]),
        }
        outs = _outputs(plan, identity)
        for stage, out in outs.items():
            on_progress(stage, out.done)
        meter = Meter()
        before = {stage: out.done for stage, out in outs.items()}
        if plan.workers <= 1 and plan.ray is None:
            await _here(plan, answerer, outs, on_progress)
    if plan.workers > 1 or plan.ray is not None:  # this process gave its model back first
        _elsewhere(plan, outs, on_progress)
    cost = _cost(plan.out, meter.stop(), len(plan.items) - before["replies"] if "replies" in outs else 0)
    return identity | {"hashes": dict(plan.hashes), "cost": cost}


def _outputs(plan: Plan, identity: Mapping[str, Any]) -> dict[Stage, Output]:
    wanted: dict[Stage, bool] = {"replies": plan.suite.replies, "likelihood": bool(plan.suite.score)}
    outs = {stage: Output(plan.out / f"{stage}.jsonl", identity) for stage, asked in wanted.items() if asked}
    _keep_items(plan)
    return outs


def _keep_items(plan: Plan) -> None:
    """The items beside their results: a report or a comparison needs no other file."""
    lines = (json.dumps(asdict(item), ensure_ascii=False) + "\n" for item in plan.items)
    (plan.out / "items.jsonl").write_text("".join(lines), encoding="utf-8")


async def _here(plan: Plan, answerer: Answerer, outs: Mapping[Stage, Output], on_progress: OnProgress) -> None:
    if "replies" in outs:
        await answerer.answer(plan.items, 0, outs["replies"], lambda: on_progress("replies", 1))
    if "likelihood" in outs:
        with outs["likelihood"].open() as file:
            for chunk in _chunks(plan, "likelihood", outs["likelihood"].done):
                rest = _rest(answerer.score_chunk(chunk.items), chunk, outs["likelihood"].done)
                file.writelines(rest)
                file.flush()
                on_progress("likelihood", len(rest))


def _chunks(plan: Plan, stage: Stage, done: int) -> Iterator[Chunk]:
    """The chunks not wholly done, with borders that do not depend on what is."""
    size = ANSWER_CHUNK if stage == "replies" else SCORE_CHUNK
    for start in range(0, len(plan.items), size):
        items = plan.items[start : start + size]
        if start + len(items) > done:
            yield Chunk(stage, start, items)


def _rest(lines: Sequence[str], chunk: Chunk, done: int) -> Sequence[str]:
    """A chunk's lines without those written before the run was stopped."""
    return lines[max(done - chunk.start, 0) :]


def _elsewhere(plan: Plan, outs: Mapping[Stage, Output], on_progress: OnProgress) -> None:
    """All stages' chunks at once, so that a worker loads its model once; written in order as they come."""
    chunks = [chunk for stage, out in outs.items() for chunk in _chunks(plan, stage, out.done)]
    finished = _by_ray(plan, chunks) if plan.ray is not None else _by_processes(plan, chunks)
    for chunk, lines in zip(chunks, _in_order(finished), strict=True):
        out = outs[chunk.stage]
        rest = _rest(lines, chunk, out.done)
        with out.open() as file:
            file.writelines(rest)
        on_progress(chunk.stage, len(rest))


def _in_order(finished: Iterable[tuple[int, list[str]]]) -> Iterator[list[str]]:
    """Results as they come, (place, lines) -> lines by place."""
    waiting: dict[int, list[str]] = {}
    wanted = 0
    for place, lines in finished:
        waiting[place] = lines
        while wanted in waiting:
            yield waiting.pop(wanted)
            wanted += 1


async def _do(answerer: Answerer, chunk: Chunk) -> list[str]:
    if chunk.stage == "replies":
        return await answerer.answer_chunk(chunk.items, chunk.start)
    return answerer.score_chunk(chunk.items)


# --- processes of this machine --------------------------------------------------------------------------------------


def _by_processes(plan: Plan, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[str]]]:
    if not chunks:
        return
    context = multiprocessing.get_context("spawn")
    tasks, results = context.Queue(), context.Queue()
    workers = [
        context.Process(target=_serve, args=(_share(plan.work, plan.workers), tasks, results), daemon=True)
        for _ in range(min(plan.workers, len(chunks)))
    ]
    for place, chunk in enumerate(chunks):
        tasks.put((place, chunk))
    for worker in workers:
        tasks.put(None)
        worker.start()
    try:
        for _ in chunks:
            yield _next(results, workers)
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()


def _share(work: Work, workers: int) -> Work:
    """Each worker's part of the processor's threads."""
    threads = work.settings.get("threads") or multiprocessing.cpu_count()
    return replace(work, settings={**work.settings, "threads": max(threads // workers, 1)})


def _next(results: Any, workers: Sequence[Any]) -> tuple[int, list[str]]:
    while True:
        try:
            place, lines, error = results.get(timeout=1.0)
        except queue.Empty:
            if not any(worker.is_alive() for worker in workers):
                raise ModelError("All workers stopped before their work was done; run again to go on.") from None
            continue
        if error:
            raise ModelError(f"A worker failed: {error}. What was computed stays; run again to go on.")
        return place, lines


def _serve(work: Work, tasks: Any, results: Any) -> None:
    """A worker process: one model, chunks until there are none. A failure is sent to the run, which reports it."""
    try:
        asyncio.run(_serve_all(work, tasks, results))
    except Exception as error:
        results.put((0, [], f"{type(error).__name__}: {error}"))


async def _serve_all(work: Work, tasks: Any, results: Any) -> None:
    async with open_answerer(work) as answerer:
        while (task := tasks.get()) is not None:
            place, chunk = task
            results.put((place, await _do(answerer, chunk), ""))


# --- an existing Ray cluster ----------------------------------------------------------------------------------------


class RayAnswerer:
    """An actor with a model of its own, loaded at its first chunk."""

    def __init__(self, work: Work) -> None:
        self._work, self._open = work, AsyncExitStack()
        self._answerer: Answerer | None = None

    async def do(self, place: int, chunk: Chunk) -> tuple[int, list[str]]:
        """The lines of a chunk."""
        if self._answerer is None:
            self._answerer = await self._open.enter_async_context(open_answerer(self._work))
        return place, await _do(self._answerer, chunk)


def _by_ray(plan: Plan, chunks: Sequence[Chunk]) -> Iterator[tuple[int, list[str]]]:
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError as error:
        raise UserError("Ray is not installed; install chinwag[ray], or use --workers.") from error
    if not ray.is_initialized():
        ray.init(address=plan.ray, log_to_driver=False, logging_level="error")
    count = min(max(plan.workers, 1), len(chunks))
    actor = ray.remote(RayAnswerer)
    actors = [actor.options(num_cpus=1, max_concurrency=1).remote(_share(plan.work, count)) for _ in range(count)]
    pool = ray.util.ActorPool(actors)
    work = list(enumerate(chunks))
    yield from pool.map_unordered(lambda a, task: a.do.remote(*task), work)


# --- cost -----------------------------------------------------------------------------------------------------------


def _cost(out: Path, now: Cost, replies: int) -> dict[str, Any]:
    """The cost of this run and of the runs that it continues, kept in ``cost.json``."""
    path = out / "cost.json"
    if path.is_file():
        before: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        replies += before.pop("replies")
        now = now.plus(Cost(**before))
    record = asdict(now) | {"replies": replies}
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record
