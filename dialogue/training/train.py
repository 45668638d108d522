"""The training loop: batches in, better weights out. It knows neither corpora nor files of weights.

The budget is minutes of *training* time (a stopped or slowed process does not lose its schedule) or a number of
steps; learning rate follows a short warm-up and a cosine over that budget (Loshchilov and Hutter 2017).
"""

from __future__ import annotations

import json
import math
import signal
import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dialogue.errors import UserError
from dialogue.training import parallel
from dialogue.training.checkpoints import load_checkpoint, save_checkpoint


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How to train. Give ``minutes`` (of training time) or ``steps``.

    ``checkpoint_s`` and ``validate_s`` are seconds of training time; ``patience`` validations without progress end
    the run (0: never).
    """

    minutes: float | None = None
    steps: int | None = None
    learning_rate: float = 1e-3
    final_rate: float = 0.03
    warmup: float = 0.04
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    accumulate: int = 1
    checkpoint_s: float = 180.0
    validate_s: float = 900.0
    patience: int = 0

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise UserError("Give a training budget: either minutes or steps.")
        if not (self.minutes or self.steps or 0) > 0 or not self.learning_rate > 0:
            raise UserError("The training budget and the learning rate must be above 0.")


@dataclass(slots=True)
class Progress:
    """Where a run stands; ``seconds`` of training time, ``tokens`` read and said, ``targets`` learnt from."""

    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    targets: int = 0
    best: float = math.inf
    stale: int = 0


class LossOf(Protocol):
    """The loss of a model on a batch, in nats: (weighted sum, sum of weights)."""

    def __call__(self, batch: Any, /) -> tuple[Tensor, Tensor]:
        """Differentiable sum, and the sum of the weights to divide it by."""
        ...


Validate = Callable[[], dict[str, float]]
"""Nats per word of each validation source."""


class Observer(Protocol):
    """Somebody who is told after every step."""

    def __call__(self, progress: Progress, done: float, record: dict[str, float]) -> None:
        """``done`` is the share of the budget; the record has ``loss``, ``rate`` and ``norm``."""
        ...


def rate_at(done: float, settings: TrainSettings) -> float:
    """The learning rate when the share ``done`` (0..1) of the budget is used up."""
    if done < settings.warmup:
        return settings.learning_rate * (0.02 + 0.98 * done / settings.warmup)
    angle = math.pi * min((done - settings.warmup) / (1 - settings.warmup), 1.0)
    floor = settings.final_rate
    return settings.learning_rate * (floor + (1 - floor) * (1 + math.cos(angle)) / 2)


class StepClock:
    """Training seconds: a step that took over four times the usual was stopped or swapped out, and is cut."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=31)

    def counted(self, seconds: float) -> float:
        """The seconds of one step to count."""
        usual = statistics.median(self.recent) if len(self.recent) >= 5 else seconds
        self.recent.append(min(seconds, 4 * usual))
        return self.recent[-1]


class Trainer:
    """One run. ``trained`` are the parameters by name; ``batches_from`` gives the endless batches from a number on.

    A batch is whatever ``loss_of`` takes; its ``tokens`` and ``targets`` are counted.
    """

    def __init__(
        self,
        trained: dict[str, nn.Parameter],
        loss_of: LossOf,
        batches_from: Callable[[int], Iterator[Any]],
        settings: TrainSettings,
        folder: Path,
        validate: Validate | None = None,
        observe: Observer | None = None,
    ) -> None:
        self.trained, self.loss_of, self.batches_from = trained, loss_of, batches_from
        self.settings, self.folder, self.validate, self.observe = settings, folder, validate, observe
        self.progress, self.clock = Progress(), StepClock()
        self.optimizer = self._optimizer()
        self.stop_asked = False
        self._saved_at = self._validated_at = 0.0

    def _optimizer(self) -> torch.optim.AdamW:
        matrices = [p for p in self.trained.values() if p.ndim > 1]
        gains = [p for p in self.trained.values() if p.ndim <= 1]
        decayed = {"params": matrices, "weight_decay": self.settings.weight_decay}
        groups = [group for group in (decayed, {"params": gains, "weight_decay": 0.0}) if group["params"]]
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate, betas=self.settings.betas, fused=True)

    def run(self) -> Progress:
        """Train until the budget is used up, patience ends, or a signal asks to stop; then write a checkpoint."""
        self.resume()
        with _asked_to_stop(self):
            batches = self.batches_from(self.progress.step * self.settings.accumulate)
            while not self.finished():
                self._step(batches)
                self._look_after()
        self.save()
        return self.progress

    def done(self) -> float:
        """Share of the budget used, 0..1; the same in every process."""
        if self.settings.steps is not None:
            return min(self.progress.step / self.settings.steps, 1.0)
        assert self.settings.minutes is not None
        return min(self.progress.seconds / (60 * self.settings.minutes), 1.0)

    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        patience = self.settings.patience
        out_of_patience = bool(patience) and self.progress.stale >= patience
        return parallel.any_of(self.stop_asked or self.done() >= 1.0 or out_of_patience)

    def _step(self, batches: Iterator[Any]) -> None:
        started, rate = time.monotonic(), rate_at(self.done(), self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        nats = weight = 0.0
        for _ in range(self.settings.accumulate):
            batch = next(batches)
            total, weights = self.loss_of(batch)
            (total / weights / self.settings.accumulate).backward()  # type: ignore[no-untyped-call]
            nats, weight = nats + float(total.detach()), weight + float(weights)
            self.progress.tokens += batch.tokens * parallel.world_size()
            self.progress.targets += batch.targets * parallel.world_size()
        parallel.average_gradients(self.trained.values())
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.settings.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._note(started, {"loss": nats / weight, "rate": rate, "norm": float(norm)})

    def _note(self, started: float, record: dict[str, float]) -> None:
        self.progress.step += 1
        self.progress.seconds += parallel.greatest(self.clock.counted(time.monotonic() - started))
        where = {"step": self.progress.step, "seconds": round(self.progress.seconds, 2)}
        counts = {"tokens": self.progress.tokens, "targets": self.progress.targets}
        self.log(where | counts | {name: round(value, 6) for name, value in record.items()})
        if self.observe is not None:
            self.observe(self.progress, self.done(), record)

    def _look_after(self) -> None:
        if self.validate is not None and self.progress.seconds - self._validated_at >= self.settings.validate_s:
            self.validated()
        if self.progress.seconds - self._saved_at >= self.settings.checkpoint_s:
            self.save()

    def validated(self) -> dict[str, float]:
        """Validate now, log it, and count how long there was no progress."""
        assert self.validate is not None
        result = self.validate()
        self._validated_at = self.progress.seconds
        mean = sum(result.values()) / len(result)
        self.progress.stale = 0 if mean < self.progress.best else self.progress.stale + 1
        self.progress.best = min(self.progress.best, mean)
        self.log({"step": self.progress.step, "seconds": round(self.progress.seconds, 2), "valid": result})
        return result

    def log(self, record: dict[str, Any]) -> None:
        """One line of JSON in ``log.jsonl``; the first process only."""
        if parallel.rank() == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")

    def save(self) -> None:
        """Write a checkpoint; the first process only."""
        self._saved_at = self.progress.seconds
        if parallel.rank() == 0:
            weights = {name: p.detach() for name, p in self.trained.items()}
            state = {"progress": asdict(self.progress), "weights": weights, "optimizer": self.optimizer.state_dict()}
            save_checkpoint(self.folder, state)

    def resume(self) -> None:
        """Go on from the folder's checkpoint where there is one. Raises UserError when it is of another model."""
        state = load_checkpoint(self.folder)
        if state is None:
            return
        if {n: p.shape for n, p in self.trained.items()} != {n: t.shape for n, t in state["weights"].items()}:
            raise UserError(f"The checkpoint in {self.folder} is of a run with other settings; choose another folder.")
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(state["weights"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        self._saved_at = self._validated_at = self.progress.seconds


class _asked_to_stop:  # noqa: N801  # reads as a sentence: with _asked_to_stop(trainer)
    """SIGTERM and Ctrl-C end the run after the present step, with a checkpoint. Only the main thread can hear them."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer

    def __enter__(self) -> None:
        def note(_: int, __: FrameType | None) -> None:
            self.trainer.stop_asked = True

        self.before = {}
        try:
            self.before = {kind: signal.signal(kind, note) for kind in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread
            self.before = {}

    def __exit__(self, *_: object) -> None:
        for kind, handler in self.before.items():
            signal.signal(kind, handler)
