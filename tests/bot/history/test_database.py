"""Upgrades, checks and backups: on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from bot.history import database
from bot.history.connect import open_engine, parsed, writing
from bot.history.database import REVISIONS, VERSION_TABLE, Age, age_of, backup, check, upgrade
from bot.history.opening import open_store
from bot.history.tables import Base
from dialogue.errors import StorageError, UserError
from tests.bot.history.makers import ANN, HERE, KEY, exchange, open_sqlite, sqlite_url, texts
from tests.postgres import PostgresServer

WITH_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(params=["sqlite", WITH_POSTGRES])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database that does not exist yet, or is empty."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = open_engine(parsed(url))
    with writing(engine).begin() as connection:
        yield connection
    engine.dispose()


INSERTS = (
    "INSERT INTO people (id, hash) VALUES (1, :person)",
    "INSERT INTO conversations (id, door, place, episode) VALUES (1, 'discord', 'guild1/channel7', 0)",
    "INSERT INTO exchanges (id, conversation_id, episode, person_id, message_id, source, model, persona, seconds, "
    "answered_at) VALUES (1, 1, 0, 1, 'm1', 'model', 'm', 'robin', '{}', '2026-03-01 12:00:02')",
    "INSERT INTO turns (id, exchange_id, role, text, said_at) VALUES (1, 1, 'user', 'old words', '2026-03-01 12:00')",
    "INSERT INTO turns (id, exchange_id, role, text, said_at) "
    "VALUES (2, 1, 'bot', 'old answer', '2026-03-01 12:00:02')",
    "INSERT INTO verdicts (turn_id, action, scores, spans, reasons) VALUES (1, 0, '{}', '[]', '[]')",
    "INSERT INTO verdicts (turn_id, action, scores, spans, reasons) VALUES (2, 0, '{}', '[]', '[]')",
)


def _of_the_first_schema(url: str) -> None:
    """A database as the first release left it, with one exchange in it."""
    from bot.history.people import Pseudonyms

    upgrade(url, to="0001")
    with _connected(url) as connection:
        for statement in INSERTS:
            times = statement.replace("12:00')", "12:00:00.000000')").replace("12:00:02')", "12:00:02.000000')")
            connection.execute(text(times), {"person": Pseudonyms(KEY).of(ANN)} if ":person" in times else {})


def test_the_migrations_make_exactly_the_tables_that_the_program_uses(url: str) -> None:
    upgrade(url)
    with _connected(url) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_revisions_named_in_the_program_are_the_migrations_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).parent / "migrations"))
    found = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(found)) == REVISIONS


def test_an_empty_database_is_upgraded_and_a_second_time_nothing_happens(url: str) -> None:
    assert upgrade(url).before is None
    again = upgrade(url)
    assert (again.before, again.after, again.backup) == (REVISIONS[-1], REVISIONS[-1], None)
    with _connected(url) as connection:
        assert age_of(connection) is Age.CURRENT


def test_an_upgrade_from_the_first_schema_keeps_every_row(url: str) -> None:
    _of_the_first_schema(url)
    done = upgrade(url)
    assert (done.before, done.after) == ("0001", REVISIONS[-1])
    store = open_store(url, person_key=KEY)
    assert texts(store) == ["old words", "old answer"]
    assert store.answered(HERE, "m1") is not None
    if not url.startswith("postgres"):  # there the ids written by hand did not move the sequence on
        store.append(HERE, exchange("new words"))
    assert store.forget(ANN).counts["turns"] >= 2
    store.close()


def test_an_older_sqlite_file_is_upgraded_at_start_and_copied_before(tmp_path: Path) -> None:
    _of_the_first_schema(sqlite_url(tmp_path))
    store = open_sqlite(tmp_path)
    assert texts(store) == ["old words", "old answer"]
    store.close()
    copy = tmp_path / f"history.sqlite3.before-{REVISIONS[-1]}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    found = check(f"sqlite:///{copy}")
    assert (found.revision, found.rows["turns"]) == ("0001", 2)
    assert found.problems == ("The schema is older; run `chinwag database upgrade`.",)


def test_an_upgrade_that_fails_half_way_leaves_the_database_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _of_the_first_schema(sqlite_url(tmp_path))
    with _connected(sqlite_url(tmp_path)) as connection:
        connection.execute(text("CREATE TABLE settings (in_the_way TEXT)"))
    with pytest.raises(StorageError):
        upgrade(sqlite_url(tmp_path))
    with _connected(sqlite_url(tmp_path)) as connection:
        assert age_of(connection) is Age.OLDER
        assert connection.scalar(text("SELECT count(*) FROM sqlite_master WHERE name = 'deliveries'")) == 0
        assert connection.scalar(text("SELECT count(*) FROM turns")) == 2


def test_a_database_of_a_newer_program_is_refused_and_left_alone(url: str) -> None:
    upgrade(url)
    with _connected(url) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    for attempt in (lambda: open_store(url, person_key=KEY), lambda: upgrade(url), lambda: check(url)):
        with pytest.raises(UserError, match="written by a newer Chinwag; update Chinwag"):
            attempt()


@pytest.mark.postgres
@pytest.mark.parametrize("before", [None, "0001"])
def test_postgres_is_upgraded_by_the_command_only(postgres: PostgresServer, before: str | None) -> None:
    url = postgres.new_database()
    if before:
        upgrade(url, to=before)
    with pytest.raises(UserError, match="run `chinwag database upgrade`"):
        open_store(url, person_key=KEY)
    upgrade(url)
    open_store(url, person_key=KEY).close()


def test_check_counts_rows_and_finds_nothing_wrong_with_a_sound_database(url: str) -> None:
    upgrade(url)
    store = open_store(url, person_key=KEY)
    store.append(HERE, exchange(candidates=("a", "b", "c")))
    store.close()
    found = check(url)
    assert found.problems == () and found.revision == REVISIONS[-1] and found.size_bytes > 0
    assert {name: found.rows[name] for name in ("people", "exchanges", "turns", "candidates")} == {
        "people": 1,
        "exchanges": 1,
        "turns": 2,
        "candidates": 3,
    }


def test_check_changes_no_byte_and_works_on_a_file_that_may_not_be_written(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    target = backup(sqlite_url(tmp_path), tmp_path / "copies" / "copy.sqlite3")
    target.chmod(0o400)
    before = target.read_bytes()
    assert check(f"sqlite:///{target}").problems == ()
    assert target.read_bytes() == before and len(list(target.parent.iterdir())) == 1


def test_check_finds_damage(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    for number in range(50):
        store.append(HERE, exchange(f"{number} " * 30))
    store.close()
    path = tmp_path / "history.sqlite3"
    with _connected(sqlite_url(tmp_path)) as connection:
        root = connection.scalar(text("SELECT rootpage FROM sqlite_master WHERE name = 'ix_exchanges_person_id'"))
        size = connection.scalar(text("PRAGMA page_size"))
    whole = bytearray(path.read_bytes())
    whole[(root - 1) * size + size // 2 : root * size] = bytes(size // 2)
    path.write_bytes(whole)
    assert check(sqlite_url(tmp_path)).problems


def test_check_of_a_missing_file_makes_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist yet"):
        check(sqlite_url(tmp_path))
    with pytest.raises(UserError, match="nothing to back up"):
        backup(sqlite_url(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_backup_taken_in_mid_conversation_opens_as_a_history_of_its_own(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path))
    store.append(HERE, exchange("worth keeping"))
    target = backup(sqlite_url(tmp_path), tmp_path / "copies" / "friday.sqlite3")
    store.append(HERE, exchange("too late"))
    store.close()
    copy = open_store(f"sqlite:///{target}")
    assert texts(copy) == ["worth keeping", "Hello there."]
    assert copy.forget(ANN).counts["turns"] == 2
    copy.close()
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.parent.iterdir()} == {0o600}
    assert {path.suffix for path in target.parent.iterdir()} == {".sqlite3", ".key"}


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    open_sqlite(tmp_path).close()
    target = tmp_path / "precious"
    target.write_text("precious")
    with pytest.raises(UserError, match="exists; name another file"):
        backup(sqlite_url(tmp_path), target)
    assert target.read_text() == "precious"
    beside = backup(sqlite_url(tmp_path))
    assert beside.parent == tmp_path and beside.name.startswith("history-")


@pytest.mark.postgres
def test_a_postgres_backup_is_made_by_its_own_tool_and_can_be_restored(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    url = postgres.new_database()
    upgrade(url)
    store = open_store(url, person_key=KEY)
    store.append(HERE, exchange("worth keeping"))
    store.close()
    monkeypatch.setenv("PATH", str(postgres.binaries), prepend=":")
    dump = backup(url, tmp_path / "friday.dump")
    assert stat.S_IMODE(dump.stat().st_mode) == 0o600
    other = postgres.new_database()
    subprocess.run([postgres.binaries / "pg_restore", f"--dbname={other}", dump], check=True)
    restored = open_store(other, person_key=KEY)
    assert texts(restored) == ["worth keeping", "Hello there."]
    restored.close()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="pg_dump, which is not installed"):
        backup(url, tmp_path / "saturday.dump")


@pytest.mark.postgres
def test_a_failed_postgres_backup_leaves_no_file_and_tells_no_password(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(postgres.binaries), prepend=":")
    with pytest.raises(StorageError, match="pg_dump failed") as failed:
        backup(postgres.url("no_such_database"), tmp_path / "x.dump")
    assert not (tmp_path / "x.dump").exists() and postgres.password not in str(failed.value)
