"""The soaks run only when they are asked for: ``make soak``, or pytest with this folder or one of its files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the soaks out of a run that did not name them."""
    return None if any("soak" in argument for argument in config.args) else True


@pytest.fixture
def note(
    record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> Callable[[str, str], None]:
    """Says a figure aloud, past pytest's capturing, and puts it into the report."""

    def say(name: str, text: str) -> None:
        record_property(name, text)
        with capsys.disabled():
            sys.stderr.write(f"\n{name}: {text}\n")

    return say
