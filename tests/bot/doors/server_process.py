"""``chinwag serve`` as a person runs it, a process around a small real model: to be called, hurt and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.ports import lasting_port

ROOT = Path(__file__).resolve().parents[3]
START_S = 300.0


@dataclass
class ServerProcess:
    """One server that can be started again in the same folder, on the same port, after whatever happened to it."""

    folder: Path
    model: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    launcher: Sequence[str] = ()
    """A Python program and its arguments that starts ours, as tests/soak/jumping_clock.py does."""
    port: int = field(default_factory=lasting_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it printed, over all its lives."""
        return self.folder / "server.log"

    @property
    def pid(self) -> int:
        """The process id of its present life."""
        assert self.process is not None
        return self.process.pid

    def start(self, extra: Mapping[str, str] | None = None) -> None:
        """Start it and wait until it is ready."""
        command = [sys.executable, *self.launcher, str(ROOT / "chinwag.py"), "serve", "--port", str(self.port)]
        command += ["--model", str(self.model), "--preset", "greedy"]
        self._spawn(command, {**self.settings, **(extra or {})})
        end = time.monotonic() + START_S
        while not self.is_ready():
            assert self.process is not None and self.process.poll() is None, self.log.read_text(encoding="utf-8")
            assert time.monotonic() < end, "the server was never ready"
            time.sleep(0.1)

    def _spawn(self, command: Sequence[str], settings: Mapping[str, str]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHINWAG_")}
        wanted = {
            "DATA_FOLDER": str(self.folder), "THREADS": "1", "HTTP_REQUESTS_PER_MINUTE": "1000000",
            "HTTP_AT_ONCE": "1000", "LOG_LEVEL": "error", **settings,
        }  # fmt: skip
        chinwag = {f"CHINWAG_{name}": value for name, value in wanted.items()}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env={**inherited, **chinwag}, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )  # fmt: skip

    def is_ready(self) -> bool:
        """Whether it says so itself."""
        try:
            return httpx.get(f"{self.url}/health/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def resident_mb(self) -> float:
        """Its memory as the kernel counts it."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def open_files(self) -> int:
        """Its open files and sockets."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def client(self, **options: Any) -> httpx.AsyncClient:
        """A plain client for it."""
        return httpx.AsyncClient(base_url=self.url, timeout=60, **options)


@contextmanager
def serving(folder: Path, model: Path, launcher: Sequence[str] = (), **settings: str) -> Iterator[ServerProcess]:
    """A server that is ready; ended when the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    server = ServerProcess(folder, model, settings, launcher)
    try:
        server.start()
        yield server
    finally:
        server.stop()
