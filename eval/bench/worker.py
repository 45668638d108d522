"""One engine in a process of its own: it waits for its turn, answers, says how long it took and how memory rose.

Engines take turns reply by reply, so whatever else disturbs the machine disturbs all of them alike. A process of its
own makes peak memory the engine's own; the measure starts from a process that has imported torch and nothing else.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path

from eval.bench.engines import Engine
from eval.bench.shapes import Shape


class Worker:
    """A measured engine, seen from the outside."""

    def __init__(self, engine: Engine, shape: Shape, folder: Path, threads: int) -> None:
        self.engine = engine
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(
            target=_serve, args=(theirs, engine, shape.name, folder, threads), daemon=True
        )
        self._process.start()
        theirs.close()
        self._receive()  # loaded

    def run(self, beams: int, batch: int, seed: int) -> tuple[float, float]:
        """Seconds for one batch, and the peak of the process's memory above a bare one in megabytes."""
        self._pipe.send((beams, batch, seed))
        seconds, peak = self._receive()
        return seconds, peak

    def stop(self) -> None:
        """End the process."""
        self._pipe.send(None)
        self._process.join()

    def _receive(self) -> tuple[float, float]:
        try:
            answer: tuple[float, float] = self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"{self.engine} ended early; its error stands above") from None
        return answer


def _serve(pipe: Connection, engine: Engine, shape_name: str, folder: Path, threads: int) -> None:
    import torch

    from eval.bench.shapes import shape

    torch.set_num_threads(threads)
    bare = memory_mb("VmRSS")
    net = shape(shape_name)
    answer = engine.load(folder, net, engine.dtype)
    forget_peak()
    pipe.send((0.0, 0.0))
    while (job := pipe.recv()) is not None:
        beams, batch, seed = job
        contexts = net.contexts(batch, seed)
        forget_peak()
        start = time.perf_counter()
        answer(contexts, beams)
        seconds = time.perf_counter() - start
        pipe.send((seconds, memory_mb("VmHWM") - bare))


def memory_mb(field: str) -> float:
    """Resident memory now ("VmRSS") or at its peak ("VmHWM") in megabytes; NaN where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next(float(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def forget_peak() -> None:
    """Start the peak of resident memory anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return
