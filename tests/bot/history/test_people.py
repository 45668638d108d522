"""The secret behind the pseudonyms: made once, kept private, and never silently another one."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.history.opening import open_store
from bot.history.people import Pseudonyms, make_key, read_key
from dialogue.errors import StorageError, UserError
from dialogue.turns import PersonKey
from tests.bot.history.makers import ANN, HERE, KEY, exchange, sqlite_url

NAMES = st.text(st.characters(), max_size=5)


@given(st.tuples(NAMES, NAMES), st.tuples(NAMES, NAMES))
def test_two_people_share_a_pseudonym_only_if_they_are_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = Pseudonyms(KEY)
    same = names.of(PersonKey(*one)) == names.of(PersonKey(*other))
    assert same == (one == other)


def test_a_pseudonym_depends_on_the_key() -> None:
    assert Pseudonyms(KEY).of(ANN) == Pseudonyms(KEY).of(ANN) != Pseudonyms(KEY + b"!").of(ANN)
    assert Pseudonyms(KEY).fingerprint() != Pseudonyms(KEY + b"!").fingerprint()


def test_a_short_key_is_refused() -> None:
    with pytest.raises(UserError, match="at least 16 bytes"):
        Pseudonyms(b"short")


def test_a_key_file_is_made_once_however_many_ask_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path, found = tmp_path / "key", []
    assert read_key(path) is None
    threads = [threading.Thread(target=lambda: found.append(make_key(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {read_key(path)} and len(found) == 8
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_key_that_cannot_be_written_or_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        make_key(tmp_path / "no folder" / "key")
    with pytest.raises(StorageError, match="cannot be read"):
        read_key(tmp_path)


def test_another_key_is_refused_because_nobody_could_be_forgotten_with_it(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path), person_key=KEY)
    store.append(HERE, exchange())
    store.close()
    with pytest.raises(UserError, match=r"another person key than CHINWAG_PERSON_KEY"):
        open_store(sqlite_url(tmp_path), person_key=KEY + b"!")
    with pytest.raises(UserError, match=r"person key .*history\.sqlite3\.key is missing"):
        open_store(sqlite_url(tmp_path))
    assert not (tmp_path / "history.sqlite3.key").exists()


def test_a_key_file_and_the_setting_mean_the_same_key(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path))
    store.append(HERE, exchange())
    store.close()
    key = (tmp_path / "history.sqlite3.key").read_text().strip().encode()
    store = open_store(sqlite_url(tmp_path), person_key=key)
    assert store.forget(ANN).counts["people"] == 1
    store.close()


def test_a_key_file_that_was_exchanged_is_noticed(tmp_path: Path) -> None:
    open_store(sqlite_url(tmp_path)).close()
    (tmp_path / "history.sqlite3.key").write_text("0" * 64)
    with pytest.raises(UserError, match="written with another person key"):
        open_store(sqlite_url(tmp_path))
