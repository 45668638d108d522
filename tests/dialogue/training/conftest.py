from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.training.corpus import allow_all
from dialogue.training.data import Filtering
from dialogue.training.run import Places
from tests.dialogue.training.tiny import write_base, write_corpus


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def base_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("base")
    write_base(cache)
    return cache


@pytest.fixture(scope="session")
def token_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tokens")


@pytest.fixture
def places(tmp_path: Path, corpus: Path, base_cache: Path, token_cache: Path) -> Places:
    return Places(corpus, tmp_path / "run", token_cache, tmp_path / "weights", base_cache)


@pytest.fixture
def no_filter() -> Filtering:
    return Filtering("none", lambda: allow_all)
