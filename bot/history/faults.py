"""Driver errors in, one clear sentence out. The originals are not chained: they can quote the rows they failed on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError, TimeoutError

from dialogue.errors import ChinwagError, StorageError, UserError

_SQLITE = {
    "SQLITE_BUSY": "is locked by another program; close it or try again in a moment",
    "SQLITE_LOCKED": "is locked by another program; close it or try again in a moment",
    "SQLITE_FULL": "cannot grow because the disk is full; free some space, what was stored before is safe",
    "SQLITE_IOERR": "cannot be read or written: the disk is full or failing; what was stored before is untouched",
    "SQLITE_NOTADB": "is not a chinwag database; move the file away or restore a backup",
    "SQLITE_CORRUPT": "is damaged; restore a backup, or look at it with `chinwag database check`",
    "SQLITE_READONLY": "cannot be written: the file or its folder is read-only",
    "SQLITE_CANTOPEN": "cannot be opened; check that the folder exists and may be written",
    "SQLITE_PERM": "cannot be opened; its permissions forbid it",
    "SQLITE_AUTH": "cannot be opened; its permissions forbid it",
}

_POSTGRES = {
    "08": "is out of reach; check that the server runs and try again",
    "57014": "took too long; try again in a moment",
    "57": "is shutting down or starting; try again in a moment",
    "53": "has run out of disk space, memory or connections; what was stored before is safe",
    "25": "does not accept writes at the moment",
    "55": "is busy; try again in a moment",
    "40": "was busy with the same conversation; try again",
    "42": "does not have the tables expected; run `chinwag database upgrade`, or check its permissions",
}

_POSTGRES_SET_UP = {
    "28": "refuses this user or password; check CHINWAG_DATABASE_URL",
    "3D": "does not exist on the server; create it first, or check CHINWAG_DATABASE_URL",
}

_REFUSALS = {
    "authentication failed": "28",
    "no password supplied": "28",
    "no pg_hba.conf entry": "28",
    "too many clients": "53",
    "connection slots": "53",
    "starting up": "57",
    "shutting down": "57",
    'FATAL:  database "': "3D",
    'FATAL:  role "': "28",
}


@contextmanager
def storage_faults(url: URL) -> Iterator[None]:
    """Turn what the database driver raises into StorageError, or UserError where the address is wrong."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise explained(error, url) from None


def explained(error: Exception, url: URL) -> ChinwagError:
    """The sentence for an error of the database at ``url``; names the database, never its contents or password."""
    name = named(url)
    if isinstance(error, TimeoutError):
        return StorageError(f"{name} is busy: no connection became free in time; try again in a moment.")
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return StorageError(f"{name} {_sqlite_reason(cause)}.")
    if isinstance(cause, OSError):
        return StorageError(f"{name} cannot be read or written: {cause.strerror or type(cause).__name__}.")
    state = getattr(cause, "sqlstate", None) or _state_of_refusal(cause)
    return _postgres_fault(name, state, type(cause).__name__)


def named(url: URL) -> str:
    """The database as a person knows it, without the password."""
    if url.get_backend_name() == "sqlite":
        return f"The history database {url.database}"
    return f"The history database {url.database!r} on {url.host or 'this machine'}"


def _sqlite_reason(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorname", "") or type(error).__name__
    reasons = [reason for start, reason in _SQLITE.items() if code.startswith(start)]
    return reasons[0] if reasons else f"failed ({code}); look at it with `chinwag database check`"


def _state_of_refusal(error: BaseException | None) -> str | None:
    """The state of an error while connecting, for which libpq gives words only; "08" when they are not known."""
    if type(error).__name__ not in ("OperationalError", "ConnectionTimeout", "InterfaceError"):
        return None
    return next((state for words, state in _REFUSALS.items() if words in str(error)), "08")


def _postgres_fault(name: str, state: str | None, kind: str) -> ChinwagError:
    group = (state or "")[:2]
    if group in _POSTGRES_SET_UP:
        return UserError(f"{name} {_POSTGRES_SET_UP[group]}.")
    reason = _POSTGRES.get(state or "") or _POSTGRES.get(group) or f"failed ({state or kind}); nothing stored is lost"
    return StorageError(f"{name} {reason}.")
