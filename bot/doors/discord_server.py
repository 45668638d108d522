"""Settings of one server, kept in the history's database, with what the program assumes where nothing was set."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bot.history.store import HistoryStore


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What those who manage a server chose. Channels and roles are Discord ids."""

    persona: str | None = None
    language: str = "en"
    ratings: bool = True
    open_channels: tuple[int, ...] = ()
    closed_channels: tuple[int, ...] = ()
    roles: tuple[int, ...] = ()
    safety: Mapping[str, str] = field(default_factory=dict)
    cooldown_s: float | None = None
    person_per_minute: int | None = None
    channel_per_minute: int | None = None

    def lets_in(self, roles: set[int]) -> bool:
        """Whether somebody with these roles may talk to the bot."""
        return not self.roles or bool(roles & set(self.roles))


def scope_of(server_id: int) -> str:
    """The store's name for a server's settings."""
    return f"discord:server:{server_id}"


class Servers:
    """Reads settings once per server and keeps them; changes go through here."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store
        self._known: dict[int, ServerSettings] = {}
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, server_id: int | None) -> ServerSettings:
        """The settings of a server; the defaults in direct messages.

        Callers come back in the order in which they called: asyncio's lock is fair, so that one who comes when the
        settings have just been read does not overtake those who waited for them. A channel's order begins here.
        """
        if server_id is None:
            return ServerSettings()
        async with self._turns[server_id]:
            if server_id not in self._known:
                self._known[server_id] = await self._read(server_id)
            return self._known[server_id]

    def language(self, server_id: int | None) -> str:
        """The language of the notices, as far as it is known without asking the database."""
        known = None if server_id is None else self._known.get(server_id)
        return (known or ServerSettings()).language

    async def _read(self, server_id: int) -> ServerSettings:
        return from_stored(await asyncio.to_thread(self._store.settings, scope_of(server_id)))

    async def change(self, server_id: int, changes: Mapping[str, Any]) -> ServerSettings:
        """Store some settings; None goes back to the default."""
        async with self._turns[server_id]:
            await asyncio.to_thread(self._store.put_settings, scope_of(server_id), changes)
            self._known[server_id] = await self._read(server_id)
            return self._known[server_id]

    async def drop(self, server_id: int) -> None:
        """Remove a server's settings and forget them."""
        async with self._turns[server_id]:
            self._known.pop(server_id, None)
            await asyncio.to_thread(self._store.clear_settings, scope_of(server_id))


def from_stored(stored: Mapping[str, Any]) -> ServerSettings:
    """The settings as stored (JSON values); what this version does not know is left out."""
    names = {each.name for each in fields(ServerSettings)}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items() if name in names
    }
    return ServerSettings(**given)
