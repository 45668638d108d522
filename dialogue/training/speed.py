"""How fast training steps run and what share of the chip's rate they reach: operations counted, time measured."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dialogue.training.examples import Batch
from dialogue.training.network import computing_dtype
from dialogue.training.train import LossOf, Trainer

DATASHEET = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
"""Dense bf16 operations a second by the vendor's datasheets (SXM parts), by what the device's name holds."""

WARM_UP = 3
LARGE, SMALL = 8192, 1024  # sides of the matrices that measure the ceiling, on an accelerator and on a processor


@dataclass(frozen=True, slots=True)
class Speed:
    """What steps take, as means over them.

    ``operations`` of the matrix products (padding counted), ``seconds``, real ``tokens``; ``ceiling``: operations a
    second of one large product here; ``peak``: the datasheet's, 0 where unknown; ``memory``: the most bytes held
    on the accelerator, 0 on a processor.
    """

    operations: float
    seconds: float
    tokens: float
    ceiling: float
    peak: float
    memory: int

    @property
    def share(self) -> float:
        """Of the datasheet's peak, or of the measured ceiling where the chip is not known."""
        return self.operations / self.seconds / (self.peak or self.ceiling)

    def __str__(self) -> str:
        whose = "the chip's bf16 peak" if self.peak else "one large product's rate here"
        return (
            f"{self.tokens / self.seconds:,.0f} tokens/s; a step takes {self.seconds:.3f} s for "
            f"{self.operations / 1e12:.2f} T operations: {self.operations / self.seconds / 1e12:.3g} TFLOP/s, "
            f"{self.share:.1%} of {whose} ({(self.peak or self.ceiling) / 1e12:.3g}; "
            f"a large product reaches {self.ceiling / 1e12:.3g}). "
            f"Memory {self.memory / 2**30:.1f} GiB."
        )


def operations(loss_of: LossOf, batch: Batch) -> int:
    """Multiplications and additions of a batch's forward and backward pass, as they are really asked for.

    Call it before the network is compiled: the counter cannot see into compiled code.
    """
    with FlopCounterMode(display=False) as counter:
        total, weights = loss_of(batch)
        (total / weights).backward()  # type: ignore[no-untyped-call]
    return int(counter.get_total_flops())


def profile(trainer: Trainer, batches: Sequence[Batch], counted: Sequence[int], report: Path | None = None) -> Speed:
    """Time one training step on each batch after some to warm up; ``counted`` are the batches' operations.

    The weights are changed as in training. ``report`` gets the list of what took the time, from one more step.
    """
    device = next(iter(trainer.trained.values())).device
    for batch in itertools.islice(itertools.cycle(batches), WARM_UP + len(batches)):
        step(trainer, batch)
    took = [_seconds(trainer, batch, device) for batch in batches]
    if report is not None:
        _report(trainer, batches[0], device, report)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return Speed(
        operations=statistics.fmean(counted),
        seconds=statistics.fmean(took),
        tokens=statistics.fmean(batch.tokens for batch in batches),
        ceiling=ceiling(device),
        peak=next((rate for chip, rate in DATASHEET.items() if chip in name), 0.0),
        memory=torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0,
    )


def step(trainer: Trainer, batch: Batch) -> None:
    """One step of the trainer's optimizer on the batch, without schedule, log or checkpoint."""
    total, weights = trainer.loss_of(batch)
    (total / weights).backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(trainer.trained.values(), trainer.settings.clip)
    trainer.optimizer.step()
    trainer.optimizer.zero_grad(set_to_none=True)


def ceiling(device: torch.device) -> float:
    """Operations a second of a square product in the computing type, of random numbers; the median of several."""
    size = SMALL if device.type == "cpu" else LARGE
    a, b = (torch.randn(size, size, device=device).to(computing_dtype()) for _ in range(2))
    took = []
    for _ in range(12):
        _wait(device)
        started = time.perf_counter()
        torch.matmul(a, b)
        _wait(device)
        took.append(time.perf_counter() - started)
    return 2 * size**3 / statistics.median(took[2:])


def _seconds(trainer: Trainer, batch: Batch, device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    step(trainer, batch)
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _report(trainer: Trainer, batch: Batch, device: torch.device, report: Path) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watched

    kinds = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with watched(activities=kinds) as seen:
        step(trainer, batch)
        _wait(device)
    order = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(seen.key_averages().table(sort_by=order, row_limit=25), encoding="utf-8")
