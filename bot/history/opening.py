"""``open_store``: from a URL to a store that is ready for use."""

from __future__ import annotations

import logging

from sqlalchemy import URL, Engine
from sqlalchemy.orm import Session

from bot.history.connect import file_of, in_memory, is_sqlite, make_private_file, open_engine, parsed, writing
from bot.history.database import Age, age_of, refuse_unusable, upgrade
from bot.history.erasure import is_scrub_due, scrub
from bot.history.faults import named, storage_faults
from bot.history.memory_store import MemoryStore
from bot.history.people import Pseudonyms, key_file, make_key, read_key
from bot.history.sql_store import SqlStore
from bot.history.store import OWN_SCOPE, HistoryStore
from bot.history.tables import SettingRow
from bot.history.upsert import upsert
from dialogue.errors import UserError

_log = logging.getLogger(__name__)

_FINGERPRINT = "person_key"


def open_store(url: str, *, person_key: bytes | None = None) -> HistoryStore:
    """The store at a URL: ``sqlite:///FILE``, ``postgresql://…`` or ``memory:``.

    A SQLite file is made or brought up to date; PostgreSQL must have been, by ``chinwag database upgrade``. Without
    ``person_key`` a key file beside the SQLite file is used or made. Raises UserError and StorageError.
    """
    if in_memory(url):
        return MemoryStore(person_key=person_key)
    parts = parsed(url)
    if is_sqlite(parts):
        make_private_file(file_of(parts))
    engine = open_engine(parts)
    try:
        with storage_faults(parts):
            _bring_up_to_date(engine, url)
            pseudonyms = _agree_on_key(engine, person_key)
            _finish_scrubbing(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, pseudonyms)


def _bring_up_to_date(engine: Engine, url: str) -> None:
    with engine.connect() as connection:
        age = age_of(connection)
    refuse_unusable(age, engine.url)
    if age is Age.CURRENT:
        return
    if not is_sqlite(engine.url):
        raise UserError(f"{named(engine.url)} is not up to date ({age}): run `chinwag database upgrade`.")
    done = upgrade(url)
    if done.backup:
        _log.warning("The history database was upgraded from %s to %s; copy: %s", done.before, done.after, done.backup)


def _agree_on_key(engine: Engine, given: bytes | None) -> Pseudonyms:
    """The key that the database was written with: with another one nobody could be found, and so not be forgotten."""
    with Session(engine) as session:
        known = session.get(SettingRow, (OWN_SCOPE, _FINGERPRINT))
    pseudonyms = Pseudonyms(given if given is not None else _own_key(engine.url, new=known is None))
    if known is None:
        known = _note_fingerprint(engine, pseudonyms.fingerprint())
    if known.value != pseudonyms.fingerprint():
        source = "CHINWAG_PERSON_KEY" if given is not None else str(key_file(file_of(engine.url)))
        raise UserError(f"{named(engine.url)} was written with another person key than {source}; use that one.")
    return pseudonyms


def _own_key(url: URL, *, new: bool) -> bytes:
    if not is_sqlite(url):
        raise UserError(
            "A PostgreSQL history needs CHINWAG_PERSON_KEY, the same for every program that uses it; make one with "
            "`python -c 'import secrets; print(secrets.token_hex(32))'` and keep it."
        )
    path = key_file(file_of(url))
    key = read_key(path)
    if key is None and not new:
        raise UserError(f"The person key {path} is missing; restore it, or set CHINWAG_PERSON_KEY to what it held.")
    return key or make_key(path)


def _note_fingerprint(engine: Engine, fingerprint: str) -> SettingRow:
    """Write the key's fingerprint unless another program was faster; the row that counts."""
    row = {"scope": OWN_SCOPE, "name": _FINGERPRINT, "value": fingerprint}
    with Session(writing(engine), expire_on_commit=False) as session, session.begin():
        session.execute(upsert(session, SettingRow, row, ("scope", "name"), keep=True))
        return session.get_one(SettingRow, (OWN_SCOPE, _FINGERPRINT))


def _finish_scrubbing(engine: Engine) -> None:
    with Session(engine) as session:
        due = is_scrub_due(session)
    if due:
        scrub(engine)
