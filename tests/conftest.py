"""Fixtures that several folders of tests share, and the closing word about what was skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

# Before torch is imported here and in every process that tests start: on a busy machine, threads that wait for each
# other make tiny networks a hundred times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import postgres
from tests.tiny_checkpoint import make_tiny_checkpoint

__all__ = ["postgres"]

# The same examples on every machine, and no test fails because a machine is slow. To look for new examples:
# HYPOTHESIS_PROFILE=default, perhaps with --hypothesis-seed=N.
settings.register_profile(
    "same everywhere", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same everywhere"))


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random chat model in a folder; see tests/tiny_checkpoint.py."""
    return make_tiny_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def own_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No test reads or writes the settings and conversations of the person who runs it."""
    for name in list(os.environ):
        if name.startswith("CHINWAG_") and name != "CHINWAG_SHARED_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CHINWAG_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped and how to get it."""
    reasons = {str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr}
    for reason in sorted(reasons):
        terminalreporter.write_line(f"skipped: {reason.removeprefix('Skipped: ')}")
