"""A real console in its own process, and a real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.ports import lasting_port

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def chromium() -> str | None:
    """Debian's browser, or None."""
    return shutil.which("chromium")


class ConsoleServer:
    """``chinwag console`` on a database; may be killed and started again on the same port."""

    def __init__(self, database: str, folder: Path) -> None:
        self.database, self.folder = database, folder
        self.port = lasting_port()
        self.base = f"http://localhost:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self.owner_link = ""

    def start(self) -> None:
        log = self.folder / "console.log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "chinwag.py", "console", "--port", str(self.port), "--database", self.database],
                cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, "CHINWAG_DATA_FOLDER": str(self.folder), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        self._wait(log)
        self.owner_link = re.findall(r"http://\S+", log.read_text())[0]

    def _wait(self, log: Path) -> None:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                with urllib.request.urlopen(f"{self.base}/_stcore/health", timeout=2) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
            assert self._process is not None
            assert self._process.poll() is None, log.read_text()
        raise AssertionError(f"the console did not start: {log.read_text()}")

    def kill(self) -> None:
        """As a power cut would: no goodbye."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def invite(self, study: str, rater: str | None = None, kind: str = "person") -> str:
        """The link that the command line prints."""
        words = ["invite", "--study", study, "--kind", kind, "--url", self.base, "--database", self.database]
        done = subprocess.run(
            [sys.executable, "chinwag.py", "console", *words, *(["--rater", rater] if rater else [])],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()


@contextmanager
def console(database: str, folder: Path) -> Iterator[ConsoleServer]:
    """A running console, ended with its whole process group."""
    server = ConsoleServer(database, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def browser() -> Iterator[Browser]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS, timeout=120_000)
        try:
            yield found
        finally:
            found.close()


def opened(context: BrowserContext, url: str) -> Page:
    """A page that has drawn its first item, form or table."""
    context.set_default_timeout(90_000)
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector(".stMainBlockContainer :is(button, [data-testid=stAlert])")
    return page


def wait_for_item(page: Page) -> None:
    """Wait until an item to rate is drawn, and all that belongs to it."""
    page.wait_for_selector(".cw-rated")
    settle(page)


def rated_text(page: Page) -> str:
    """The words that the question is about."""
    return page.locator(".cw-rated p").first.inner_text()


def press(page: Page, key: str) -> None:
    """A key, and wait until the screen shows something else and the console rests."""
    settle(page)
    before = page.locator(".stMainBlockContainer").inner_text()
    page.keyboard.press(key)
    page.wait_for_function("before => document.querySelector('.stMainBlockContainer').innerText !== before", arg=before)
    settle(page)


def settle(page: Page) -> None:
    """Wait until no script runs and nothing on the screen is out of date."""
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="notRunning"]')
    page.wait_for_function("() => !document.querySelector('[data-stale=true]')")
