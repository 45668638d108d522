"""Telling a person how far long work is: a bar for training, a line at every tenth for long readings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dialogue.training.train import Observer, Progress


def tenths(total: int, what: str, say: Callable[[str], None]) -> Callable[[int], None]:
    """Says how far a long reading is, and the minutes left, at its every tenth."""
    started, told = time.monotonic(), 0

    def tell(count: int) -> None:
        nonlocal told
        if count * 10 // total > told:
            told = count * 10 // total
            left = (time.monotonic() - started) / count * (total - count) / 60
            say(f"{what}: {count / total:.0%}, {left:.1f} minutes left")

    return tell


class Bar:
    """A progress bar with loss, tokens a second and the time left."""

    def __init__(self, console: Any) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("step {task.fields[step]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%  loss {task.fields[loss]:.3f}  {task.fields[speed]:,.0f} tokens/s"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task: Any = None

    def __enter__(self) -> Observer:
        return self._told

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def _told(self, progress: Progress, done: float, record: dict[str, float]) -> None:
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("train", total=1.0, step=0, loss=0.0, speed=0.0)
        speed = progress.tokens / max(progress.seconds, 1e-9)
        self._progress.update(self._task, completed=done, step=progress.step, loss=record["loss"], speed=speed)
