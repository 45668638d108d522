"""The schema's age: what a database is, bringing it up to date, checking it, and copying it.

Alembic is loaded only when there is something to upgrade: a start with a database that is up to date stays quick.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, func, inspect, select, text

from bot.history.connect import Purpose, file_of, is_sqlite, make_private_file, open_engine, parsed, writing
from bot.history.faults import named, storage_faults
from bot.history.files import automatic_backup_path, copy_database
from bot.history.people import key_file
from bot.history.tables import Base
from dialogue.errors import StorageError, UserError

VERSION_TABLE = "chinwag_history_version"
REVISIONS = ("0001", "0002")
"""Every revision in order; a test holds them against the migrations."""

_UPGRADE_LOCK = 0x43_48_49_4E
_MIGRATIONS = Path(__file__).parent / "migrations"


class Age(StrEnum):
    """How a database stands to this program."""

    EMPTY = "empty"
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did: revisions before and after (None: empty), and the copy made of an older SQLite file."""

    before: str | None
    after: str
    backup: Path | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found: rows by table, bytes, and problems in words, of which there should be none."""

    name: str
    revision: str | None
    rows: dict[str, int]
    size_bytes: int
    problems: tuple[str, ...]


def revision_of(connection: Connection) -> str | None:
    """The schema's revision, or None where there is none."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    revision: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))
    return revision


def age_of(connection: Connection) -> Age:
    """How this database stands to the program that asks."""
    revision = revision_of(connection)
    if revision is None:
        ours = set(inspect(connection).get_table_names()) & set(Base.metadata.tables)
        return Age.FOREIGN if ours else Age.EMPTY
    if revision not in REVISIONS:
        return Age.NEWER
    return Age.CURRENT if revision == REVISIONS[-1] else Age.OLDER


def refuse_unusable(age: Age, url: URL) -> None:
    """Raise UserError for a database that neither this program nor its upgrade can use."""
    if age is Age.NEWER:
        raise UserError(f"{named(url)} was written by a newer Chinwag; update Chinwag or choose another database.")
    if age is Age.FOREIGN:
        raise UserError(f"{named(url)} holds tables of another program; choose another database.")


def upgrade(url: str, *, to: str = "head") -> Upgraded:
    """Bring a database up to date; a SQLite file is made where there is none, and an older one is copied first.

    One transaction: it is upgraded or as it was. UserError for databases of newer or other programs.
    """
    parts = parsed(url)
    if is_sqlite(parts):
        make_private_file(file_of(parts))
    with _engine(parts, Purpose.MIGRATE) as engine:
        with engine.connect() as connection:
            age, before = age_of(connection), revision_of(connection)
        refuse_unusable(age, parts)
        if age is Age.CURRENT:
            return Upgraded(before, REVISIONS[-1])
        copy = _copy_first(parts) if age is Age.OLDER and is_sqlite(parts) else None
        with writing(engine).begin() as connection:
            _migrate(connection, to)
            return Upgraded(before, revision_of(connection) or "", copy)


def check(url: str) -> Checked:
    """Look a database over: readable, whole, up to date. Changes nothing. StorageError when it cannot be read."""
    parts = parsed(url)
    if is_sqlite(parts) and not file_of(parts).exists():
        raise UserError(f"{named(parts)} does not exist yet; it is made by the first chat.")
    with _engine(parts, Purpose.LOOK) as engine, engine.connect() as connection:
        age = age_of(connection)
        refuse_unusable(age, parts)
        tables = set(inspect(connection).get_table_names())
        rows = {
            name: connection.scalar(select(func.count()).select_from(table)) or 0
            for name, table in Base.metadata.tables.items()
            if name in tables
        }
        late = () if age is Age.CURRENT else (f"The schema is {age}; run `chinwag database upgrade`.",)
        problems = (*late, *(_broken(connection) if is_sqlite(parts) else ()))
        return Checked(named(parts), revision_of(connection), rows, _size(connection, parts), problems)


def backup(url: str, to: Path | None = None) -> Path:
    """Copy a database while it is in use; the SQLite copy takes the key file with it. Never overwrites a file."""
    parts = parsed(url)
    target = to or _default_target(parts)
    if target.is_dir():
        target = target / _default_target(parts).name
    if target.exists():
        raise UserError(f"{target} exists; name another file for the backup.")
    if not is_sqlite(parts):
        return _dump(parts, target)
    source = file_of(parts)
    if not source.exists():
        raise UserError(f"{named(parts)} does not exist yet; there is nothing to back up.")
    with storage_faults(parts):
        copy_database(source, target)
        if key_file(source).exists():
            make_private_file(key_file(target))
            shutil.copyfile(key_file(source), key_file(target))
    return target


@contextmanager
def _engine(url: URL, purpose: Purpose) -> Iterator[Engine]:
    engine = open_engine(url, purpose)
    try:
        with storage_faults(url):
            yield engine
    finally:
        engine.dispose()


def _copy_first(url: URL) -> Path:
    target = automatic_backup_path(file_of(url), REVISIONS[-1])
    copy_database(file_of(url), target)
    return target


def _migrate(connection: Connection, to: str) -> None:
    """Run the migrations in the connection's transaction, alone: a second program waits and then finds them done."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _UPGRADE_LOCK})
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StorageError("The upgrade would have left rows without their owner; nothing was changed.")


def _broken(connection: Connection) -> list[str]:
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
    lost = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    return [line for line in found if line != "ok"] + ([f"{len(lost)} rows point at nothing."] if lost else [])


def _size(connection: Connection, url: URL) -> int:
    if is_sqlite(url):
        return file_of(url).stat().st_size
    return connection.scalar(text("SELECT pg_database_size(current_database())")) or 0


def _default_target(url: URL) -> Path:
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    if is_sqlite(url):
        source = file_of(url)
        return source.with_name(f"{source.stem}-{stamp}{source.suffix}")
    return Path(f"{url.database}-{stamp}.dump")


def _dump(url: URL, target: Path) -> Path:
    """PostgreSQL's own tool; the password goes by the environment, where other users of the machine cannot read it."""
    tool = shutil.which("pg_dump")
    if tool is None:
        raise UserError(
            "Backups of PostgreSQL are made by pg_dump, which is not installed here (package postgresql-client)."
        )
    make_private_file(target)
    address = URL.create(
        "postgresql", url.username, None, url.host, url.port, url.database, url.query
    ).render_as_string()
    command = [tool, "--format=custom", "--no-password", f"--file={target}", f"--dbname={address}"]
    secret = {"PGPASSWORD": str(url.password)} if url.password else {}
    done = subprocess.run(command, env={**os.environ, **secret}, capture_output=True, text=True, check=False)
    if done.returncode:
        target.unlink(missing_ok=True)
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise StorageError(f"pg_dump failed with status {done.returncode}: {last}")
    return target
