"""Copies of a SQLite file, made with its online backup so that writers need not stop, and where they lie."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from bot.history.connect import BUSY_TIMEOUT_S, make_private_file

_MARK = ".before-"


def automatic_backups(database: Path) -> Iterator[Path]:
    """The copies that were made before upgrades of this database."""
    return iter(sorted(path for path in database.parent.iterdir() if path.name.startswith(database.name + _MARK)))


def automatic_backup_path(database: Path, revision: str) -> Path:
    """Where the copy made before an upgrade to ``revision`` goes; never an existing file."""
    first = database.with_name(f"{database.name}{_MARK}{revision}")
    others = (first.with_name(f"{first.name}.{number}") for number in range(2, 10_000))
    return first if not first.exists() else next(path for path in others if not path.exists())


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy, complete or not there at all, readable by its owner only. Raises sqlite3.Error, OSError."""
    draft = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    make_private_file(draft)
    try:
        with (
            closing(sqlite3.connect(source, timeout=BUSY_TIMEOUT_S)) as origin,
            closing(sqlite3.connect(draft)) as copy,
        ):
            origin.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
        _to_disk(draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
