"""Debian's Chromium against the chat page, driven by playwright, without its own browser download."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@asynccontextmanager
async def page_at(url: str, **looks: Any) -> AsyncIterator[Any]:
    """A page of a fresh browser profile at the address; skips where there is no Chromium or playwright."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.async_api", reason="no playwright: pip install playwright")
    async with playwright.async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=FLAGS, timeout=120_000)
        try:
            context = await browser.new_context(accept_downloads=True, **looks)
            page = await context.new_page()
            page.set_default_timeout(90_000)
            await page.goto(url)
            yield page
        finally:
            await browser.close()
