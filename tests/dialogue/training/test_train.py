from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dialogue.errors import UserError
from dialogue.training.curves import plot_curves, read_log, smoothed
from dialogue.training.examples import Batch
from dialogue.training.train import StepClock, Trainer, TrainSettings, rate_at


class Killed(BaseException):
    """Stands for a process that is gone at once."""


def numbered(start: int) -> Iterator[Batch]:
    while True:
        ids = torch.full((1, 2), start)
        yield Batch(ids, ids, ids, ids, torch.ones(1, 2))
        start += 1


class Line:
    """Loss of a one-number model whose target moves with the batch's number."""

    def __init__(self, deadly_at: int | None = None, broken_at: int | None = None) -> None:
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 2))
        self.deadly_at, self.broken_at = deadly_at, broken_at

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        number = int(batch.labels[0, 0])
        if number == self.deadly_at:
            raise Killed
        scale = math.nan if number == self.broken_at else 1.0
        return scale * (self.weight.sum() - math.sin(number)).square() * 2, torch.tensor(2.0)


def trainer(folder: Path, line: Line, steps: int = 30, **settings: Any) -> Trainer:
    chosen = TrainSettings(steps=steps, learning_rate=0.1, **settings)
    return Trainer({"weight": line.weight}, line, numbered, chosen, folder)


def losses(folder: Path) -> dict[int, float]:
    return {record["step"]: record["loss"] for record in read_log(folder / "log.jsonl") if "loss" in record}


def test_a_run_that_was_killed_goes_on_to_the_same_losses_and_weights(tmp_path: Path) -> None:
    whole = Line()
    trainer(tmp_path / "whole", whole).run()
    with pytest.raises(Killed):
        trainer(tmp_path / "cut", Line(deadly_at=17), checkpoint_s=0.0).run()
    again = Line()
    trainer(tmp_path / "cut", again).run()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    torch.testing.assert_close(again.weight, whole.weight, rtol=0, atol=0)


def test_steps_after_the_last_checkpoint_are_done_again(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        trainer(tmp_path, Line(deadly_at=9), checkpoint_s=math.inf).run()
    line = Line()
    assert trainer(tmp_path, line).run().step == 30
    assert len(losses(tmp_path)) == 30


def test_accumulated_batches_are_learnt_from_once_each(tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(start: int) -> Iterator[Batch]:
        for batch in numbered(start):
            seen.append(int(batch.labels[0, 0]))
            yield batch

    line = Line()
    for steps in (2, 5):
        chosen = TrainSettings(steps=steps, accumulate=3)
        Trainer({"weight": line.weight}, line, watch, chosen, tmp_path).run()
    assert seen == list(range(15))


def test_a_broken_batch_does_not_break_the_weights(tmp_path: Path) -> None:
    line = Line(broken_at=4)
    trainer(tmp_path, line).run()
    assert torch.isfinite(line.weight).all()
    assert losses(tmp_path)[30] < losses(tmp_path)[1]


def test_training_ends_when_validation_no_longer_improves(tmp_path: Path) -> None:
    answers = iter([3.0, 2.0, 2.5, 2.4, 2.3, 1.0])
    line = Line()
    settings = TrainSettings(steps=100, validate_s=0.0, patience=3)
    run = Trainer({"weight": line.weight}, line, numbered, settings, tmp_path, lambda: {"chat": next(answers)})
    assert run.run().step == 5


def test_a_budget_in_minutes_ends_the_run_and_its_schedule(tmp_path: Path) -> None:
    line = Line()
    progress = Trainer({"weight": line.weight}, line, numbered, TrainSettings(minutes=0.005), tmp_path).run()
    assert progress.seconds >= 0.3
    rates = [record["rate"] for record in read_log(tmp_path / "log.jsonl")]
    assert rates[-1] < 0.1 * max(rates)


def test_the_rate_warms_up_then_falls_as_a_cosine() -> None:
    settings = TrainSettings(steps=1, learning_rate=2.0, warmup=0.1, final_rate=0.05)
    rates = [rate_at(done / 100, settings) for done in range(101)]
    assert max(rates) == rates[10] == 2.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)
    assert rates[55] == pytest.approx((2.0 + 0.1) / 2)


def test_time_spent_stopped_is_not_training_time() -> None:
    clock = StepClock()
    assert [clock.counted(1.0) for _ in range(10)] == [1.0] * 10
    assert clock.counted(600.0) == 4.0
    assert clock.counted(2.0) == 2.0


def test_a_budget_is_needed_and_only_one() -> None:
    for budget in ({}, {"minutes": 1.0, "steps": 3}):
        with pytest.raises(UserError, match="either minutes or steps"):
            TrainSettings(**budget)  # type: ignore[arg-type]


def test_a_checkpoint_of_another_network_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path, Line(), steps=1).run()
    other = Line()
    other.weight = nn.Parameter(torch.zeros(4))
    with pytest.raises(UserError, match="other settings"):
        trainer(tmp_path, other).run()
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    with pytest.raises(UserError, match="cannot be read"):
        trainer(tmp_path, Line()).run()


def test_the_curves_are_drawn_even_when_the_log_ends_in_mid_line(tmp_path: Path) -> None:
    lines = [{"step": n, "seconds": n, "loss": 3 - n / 10} for n in range(9)] + [{"seconds": 8, "valid": {"chat": 2.0}}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 10, "lo')
    plot_curves(tmp_path / "log.jsonl", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert smoothed([4.0, 2.0, 0.0], over=2) == [4.0, 3.0, 1.0]
