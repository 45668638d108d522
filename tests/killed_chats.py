"""Chats that are killed in mid-sentence: forks children that talk through the real pipe door, and kills each with -9.

Forking after the imports keeps a hundred kills within seconds. The parent runs no thread and loads no model, so that a
child starts from a clean process.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import dialogue.models.loading  # noqa: F401 - imported here so that no child has to
from bot.doors.pipe import run_pipe
from bot.settings import load_settings


def child(model: str, number: int, ready: int) -> None:
    """Chat without end; what a person would see goes to a file of its own."""
    typed, keyboard = os.pipe()
    os.dup2(typed, 0)
    shown = os.open(f"shown-{number}.txt", os.O_WRONLY | os.O_CREAT)
    os.dup2(shown, 1)
    if os.fork() == 0:  # the person: types for ever
        while True:
            os.write(keyboard, b"Tell me more!\n")
            time.sleep(0.001)
    os.close(keyboard)
    os.write(ready, b".")
    asyncio.run(run_pipe(load_settings(model=model, preset="greedy"), persona=None, seed=1, as_json=False))


def main() -> None:
    """Start and kill the chats one after the other."""
    model, count = sys.argv[1], int(sys.argv[2])
    chance = random.Random(4)
    for number in range(count):
        started, ready = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            child(model, number, ready)
        os.close(ready)
        os.read(started, 1)
        os.close(started)
        _wait_for_words(Path(f"shown-{number}.txt"), chance.random() * 0.05)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _wait_for_words(shown: Path, then_s: float) -> None:
    """Until the first reply is there (or ten seconds have passed), and a little longer."""
    end = time.monotonic() + 10
    while not shown.stat().st_size and time.monotonic() < end:
        time.sleep(0.002)
    time.sleep(then_s)


if __name__ == "__main__":
    main()
