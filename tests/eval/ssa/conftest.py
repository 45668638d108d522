"""The same promises on both databases; shared evaluation data where it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eval.ssa.database import RatingDatabase
from tests.eval.ssa.makers import opened


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RatingDatabase]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ratings.sqlite3'}"
    else:
        url = request.getfixturevalue("postgres").new_database()
    with opened(url) as found:
        yield found


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[RatingDatabase]:
    with opened(f"sqlite:///{tmp_path / 'ratings.sqlite3'}") as found:
        yield found


@pytest.fixture
def shared_eval() -> Path:
    """The folder of evaluation files, which never travel with this repository."""
    folder = os.environ.get("CHINWAG_SHARED_DATA")
    if not folder:
        pytest.skip("CHINWAG_SHARED_DATA does not name the folder with the evaluation files")
    pytest.importorskip("zstandard", reason="reading .zst files needs zstandard (pip install 'chinwag[train]')")
    return Path(folder) / "eval"
