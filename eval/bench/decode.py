"""How fast engines decode: milliseconds per reply and peak memory, measured in turns in one run."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from eval.bench.shapes import CONTEXT, REPLY, Shape

if TYPE_CHECKING:
    from eval.bench.engines import Engine
    from eval.bench.worker import Worker

REFERENCE = "transformers fp32"


@dataclass(frozen=True, slots=True)
class Row:
    """One engine in one cell. ``ratio`` is how many times faster than transformers in fp32 it is in the same cell."""

    engine: str
    dtype: str
    shape: str
    beam: int
    batch: int
    ms_per_reply: float
    peak_mb: float | None
    ratio: float | None
    floor_ms: float | None = None


def measure(
    net: Shape, engines: Sequence[Engine], cells: Iterable[tuple[int, int]], rounds: int, threads: int, bandwidth: float
) -> list[Row]:
    """All engines on one shape: in each cell they take turns, a batch each, so many rounds after one to warm up."""
    from eval.bench.worker import Worker

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        net.write(folder)
        floors = {engine.dtype: floor_ms(folder, engine.dtype, bandwidth) for engine in engines}
        workers: list[Worker] = []
        try:
            for engine in engines:
                _tell(f"{net.name}: loading {engine}")
                workers.append(Worker(engine, net, folder, threads))
            for beam, batch in cells:
                _tell(f"{net.name}: beam {beam}, batch {batch}")
                rows += _cell(net, workers, beam, batch, rounds, floors)
        finally:
            for worker in workers:
                worker.stop()
    return rows


def _tell(line: str) -> None:
    """Progress, for whoever watches: never in a pipe."""
    if sys.stderr.isatty():
        typer.echo(line, err=True)


def _cell(
    net: Shape, workers: Sequence[Worker], beam: int, batch: int, rounds: int, floors: dict[str, float]
) -> list[Row]:
    times: dict[str, list[float]] = {str(worker.engine): [] for worker in workers}
    peaks: dict[str, float] = {}
    for turn in range(rounds + 1):
        for worker in workers:
            seconds, peaks[str(worker.engine)] = worker.run(beam, batch, seed=turn)
            if turn:
                times[str(worker.engine)].append(1000 * seconds / batch)
    return [
        Row(
            engine.name, engine.dtype, net.name, beam, batch,
            ms_per_reply=round(statistics.median(times[str(engine)]), 1),
            peak_mb=round(peaks[str(engine)], 1) if peaks[str(engine)] >= 0 else None,
            ratio=ratio(times.get(REFERENCE), times[str(engine)]),
            floor_ms=round(floors[engine.dtype] / batch, 1),
        )
        for engine in (worker.engine for worker in workers)
    ]  # fmt: skip


def ratio(reference: Sequence[float] | None, own: Sequence[float]) -> float | None:
    """How many times faster than the reference: the median over turns, each against the reference of the same turn."""
    if reference is None:
        return None
    return round(statistics.median(theirs / mine for theirs, mine in zip(reference, own, strict=True)), 2)


def measure_model(
    name: str | None, cells: Iterable[tuple[int, int]], rounds: int, threads: int, reply: int = REPLY
) -> list[Row]:
    """A model of ours by name, in this process, with contexts of random words and ``reply`` tokens in each reply."""
    import torch

    from dialogue.models.loading import load
    from eval.bench.engines import searching

    torch.set_num_threads(threads)
    model = load(name)
    answer = searching(model.seq2seq, start_id=model.start_id, eos_id=model.eos_id, pad_id=model.pad_id, reply=reply)
    title, words = f"{model.name}, {reply} tokens", model.seq2seq.vocab_size
    special = min(100, words // 2)  # ids below are no ordinary words in any vocabulary of ours
    generator = torch.Generator().manual_seed(0)
    rows: list[Row] = []
    for beam, batch in cells:
        contexts = torch.randint(special, words, (batch, CONTEXT), generator=generator).tolist()
        times = []
        for _ in range(rounds + 1):
            start = time.perf_counter()
            answer(contexts, beam)
            times.append(1000 * (time.perf_counter() - start) / batch)
        rows.append(Row("chinwag", "auto", title, beam, batch, round(statistics.median(times[1:]), 1), None, None))
    return rows


def memory_bandwidth(threads: int, numbers: int = 2**27) -> float:
    """Bytes a second that this machine reads, summing so many floats (half a gigabyte): the best of seven."""
    import torch

    torch.set_num_threads(threads)
    memory = torch.ones(numbers)
    best = float("inf")
    for _ in range(7):
        start = time.perf_counter()
        memory.sum()
        best = min(best, time.perf_counter() - start)
    return memory.nbytes / best


def floor_ms(folder: Path, dtype: str, bandwidth: float) -> float:
    """Milliseconds a batch cannot go below: reading the decoder's and the vocabulary's weights once per token."""
    from dialogue.models.checkpoint import read_tensors

    tensors = read_tensors(folder)
    read = sum(t.numel() for name, t in tensors.items() if "decoder.layers" in name or name.endswith("shared.weight"))
    return 1000 * REPLY * read * {"fp32": 4, "bf16": 2, "int8": 1}[dtype] / bandwidth
