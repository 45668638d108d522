"""Short ways to make what a history stores, and to open stores on each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from bot.exchange import Exchange, Source
from bot.history.connect import open_engine, parsed
from bot.history.database import upgrade
from bot.history.opening import open_store
from bot.history.store import HistoryStore
from bot.history.tables import Base
from dialogue.candidates import Candidate, Hypothesis
from dialogue.turns import ConversationKey, PersonKey, Role, Turn
from safety.verdict import ALLOW, Action, SafetyVerdict, Span
from tests.postgres import PostgresServer

HERE = ConversationKey("discord", "guild1/channel7")
ELSEWHERE = ConversationKey("discord", "guild2/channel1")
ANN, BEN = PersonKey("discord", "1001"), PersonKey("discord", "1002")
KEY = b"a key that is only for tests"
START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def exchange(
    heard: str = "Hi!",
    said: str = "Hello there.",
    *,
    person: PersonKey = ANN,
    message_id: str | None = None,
    minute: int = 0,
    candidates: tuple[str, ...] = (),
) -> Exchange:
    """One exchange: ``minute`` minutes after START, by ``person``, whose display name is their number."""
    at = START + timedelta(minutes=minute)
    return Exchange(
        person,
        Turn(Role.USER, heard, f"user {person.name}", at),
        Turn(Role.BOT, said, None, at + timedelta(seconds=2)),
        Source.MODEL,
        tuple(candidate(text, -1.5 - rank) for rank, text in enumerate(candidates)),
        SafetyVerdict(Action.MASK, "email", {"email": 0.9}, 0.5, "personal_data", (Span(0, 2, "email"),), ("rule 7",)),
        ALLOW,
        "a model",
        "robin",
        {"queue": 0.25, "decoding": 1.5},
        message_id,
    )


def candidate(text: str, score: float, dropped_by: str | None = None) -> Candidate:
    """A candidate with token ids, which no store keeps."""
    return Candidate(text, Hypothesis((5, 6, 7), 2 * score, score, True), {"length": 3.0, "novelty": 0.5}, dropped_by)


def texts(store: HistoryStore, key: ConversationKey = HERE, last: int = 100) -> list[str]:
    """What ``load`` gives back, in words only."""
    return [turn.text for turn in store.load(key, last=last).turns]


def sqlite_url(folder: Path) -> str:
    """The address of the test's SQLite file."""
    return f"sqlite:///{folder / 'history.sqlite3'}"


def postgres_url(server: PostgresServer) -> str:
    """The address of a database that is up to date and empty: one for all tests, because making one is slow."""
    if server.shared is None:
        server.shared = server.new_database()
        upgrade(server.shared)
    engine = open_engine(parsed(server.shared))
    with engine.begin() as connection:
        connection.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)}"))
    engine.dispose()
    return server.shared


def open_sqlite(folder: Path) -> HistoryStore:
    """A store on the test's SQLite file."""
    return open_store(sqlite_url(folder), person_key=KEY)
