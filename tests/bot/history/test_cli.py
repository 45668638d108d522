"""``chinwag database``: what a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.history.cli import app
from bot.history.database import upgrade
from tests.bot.history.makers import HERE, exchange, open_sqlite, sqlite_url


def _run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    return done.exit_code, done.output


def test_upgrade_says_what_it_did(tmp_path: Path) -> None:
    upgrade(sqlite_url(tmp_path), to="0001")
    status, output = _run("upgrade", "--database", sqlite_url(tmp_path))
    assert status == 0 and "Upgraded from schema 0001 to 0002." in output and "before-0002" in output
    assert _run("upgrade", "--database", sqlite_url(tmp_path)) == (0, "Up to date: schema 0002.\n")


def test_check_prints_a_table_and_fails_when_something_is_wrong(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange())
    store.close()
    status, output = _run("check", "--database", sqlite_url(tmp_path))
    assert status == 0 and "sound and up to date" in output and "turns" in output
    upgrade(sqlite_url(tmp_path / "older"), to="0001")
    status, output = _run("check", "--database", sqlite_url(tmp_path / "older"))
    assert status == 1 and "run `chinwag database upgrade`" in output


def test_backup_says_where_the_copy_is(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    status, output = _run("backup", str(tmp_path / "copy.sqlite3"), "--database", sqlite_url(tmp_path))
    assert status == 0 and str(tmp_path / "copy.sqlite3") in output.replace("\n", "")
    assert (tmp_path / "copy.sqlite3").stat().st_size > 0


def test_without_an_address_the_settings_decide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHINWAG_DATABASE_URL", sqlite_url(tmp_path))
    assert _run("upgrade") == (0, "Upgraded from schema (empty) to 0002.\n")
    assert (tmp_path / "history.sqlite3").exists()
