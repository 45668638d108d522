"""Retention holds at the start and while the program runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from bot.exchange import Exchange, Forgotten
from bot.history.memory_store import MemoryStore
from bot.retention import kept_short, purge
from dialogue.errors import StorageError
from dialogue.turns import now
from tests.bot.history.makers import HERE, exchange, texts
from tests.fakes import until


def of_today() -> Exchange:
    made = exchange("today", "so it is")
    return replace(made, heard=replace(made.heard, said_at=now()), said=replace(made.said, said_at=now()))


class Flaky(MemoryStore):
    """Out of reach when it is first asked to purge."""

    asked = 0

    def purge(self, older_than: datetime) -> Forgotten:
        self.asked += 1
        if self.asked == 1:
            raise StorageError("The database is out of reach.")
        return super().purge(older_than)


async def test_a_server_that_is_never_restarted_forgets_too_also_after_the_history_was_out_of_reach() -> None:
    store = Flaky()
    for each in (exchange("long ago", "indeed"), of_today()):
        store.append(HERE, each)
    async with kept_short(store, 30, every_s=0.001):
        await until(lambda: texts(store) == ["today", "so it is"])
    assert store.asked >= 2


def test_nought_days_means_for_ever() -> None:
    store = MemoryStore()
    store.append(HERE, exchange("long ago", "indeed"))
    purge(store, 0)
    assert texts(store) == ["long ago", "indeed"]
