"""The chat in a real terminal: a pseudo-terminal, a real process, a small real model."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


class Screen:
    """What a person sees and types. Control sequences are taken out of what was printed."""

    def __init__(self, *arguments: str) -> None:
        self.master, side = pty.openpty()
        command = [sys.executable, str(ROOT / "chinwag.py"), "chat", *arguments]
        variables = os.environ | {"TERM": "xterm", "COLUMNS": "100", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen(
            command, stdin=side, stdout=side, stderr=side, env=variables, start_new_session=True
        )
        os.close(side)
        self.seen, self.raw = "", b""

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def wait_for(self, pattern: str, timeout_s: float = 120.0) -> str:
        """Read until the pattern appears after what was waited for before; what came in between."""
        end = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"{pattern!r} never appeared in: {self.seen!r}"
            self._read()
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def exit_code(self, timeout_s: float = 120.0) -> int:
        """Read until the program ends."""
        end = time.monotonic() + timeout_s
        while (code := self.process.poll()) is None:
            assert time.monotonic() < end, f"it never ended: {self.seen!r}"
            self._read()
        return code

    def _read(self) -> None:
        if select.select([self.master], [], [], 0.1)[0]:
            with contextlib.suppress(OSError):  # the other side is closed
                self.raw += os.read(self.master, 65536)
        text = self.raw.decode(errors="ignore")
        self.raw = b"" if text.encode() == self.raw else self.raw
        if not self.raw:
            self.seen += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", text)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def screen(tiny_checkpoint: Path) -> Iterator[Screen]:
    opened = Screen("--model", str(tiny_checkpoint), "--persona", "robin")
    try:
        opened.wait_for("you ▸")
        yield opened
    finally:
        opened.close()


def test_a_person_chats_asks_why_rates_and_leaves(screen: Screen) -> None:
    screen.type("Hello there\r")
    screen.wait_for(r"Robin ▸|robin ▸")
    screen.wait_for("you ▸")
    screen.type("/why\r")
    assert "log p" in screen.wait_for("decode [0-9.]+ s")
    screen.type("/rate 2\r")
    screen.wait_for("Thank you")
    screen.type("/rete 2\r")
    screen.wait_for("did you mean '/rate'")
    screen.type("/quit\r")
    assert screen.exit_code() == 0


def test_ctrl_c_at_the_prompt_does_not_leave_and_ctrl_d_does(screen: Screen) -> None:
    screen.type("\x03")
    screen.wait_for("Ctrl-D or /quit leaves")
    screen.wait_for("you ▸")
    screen.type("\x04")
    assert screen.exit_code() == 0


def test_the_screen_never_shows_a_traceback(screen: Screen) -> None:
    for line in ("x" * 5000, "\x07\x08", "/export /nowhere/x.json", "/persona", "/forget", "/reset", "/help"):
        screen.type(f"{line}\r")
    screen.type("/quit\r")
    assert screen.exit_code() == 0
    assert "Traceback" not in screen.seen
