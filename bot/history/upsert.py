"""INSERT … ON CONFLICT for both databases: SQLAlchemy gives it the same methods under two names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from bot.history.tables import Base


def upsert(
    session: Session, table: type[Base], row: Mapping[str, Any], key: Sequence[str], *, keep: bool = False
) -> sqlite.Insert | postgresql.Insert:
    """Insert a row; where one with the same key exists, overwrite its other columns, or ``keep`` it as it is.

    Overwriting returns the row and locks it, also where nothing but the key was given; keeping returns no row.
    """
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**row)
    if keep:
        return statement.on_conflict_do_nothing(index_elements=key)
    changed = [name for name in row if name not in key] or key
    return statement.on_conflict_do_update(
        index_elements=key, set_={name: statement.excluded[name] for name in changed}
    )
