"""Servers that the bot was removed from, while it ran or while it was stopped: all that is stored of them is deleted.

Which servers it is on is noted with the settings; what Discord names at the next start is compared with that. A server
whose deletion failed stays noted, and so is deleted then.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.doors.discord_client import ChinwagBot

log = logging.getLogger("chinwag.discord")


async def take_stock(bot: ChinwagBot) -> None:
    """Delete what is stored of servers that are left, and note the others. Raises StorageError."""
    present = {guild.id for guild in bot.guilds}  # also those that Discord cannot show at the moment
    noted = {int(name) for name in await asyncio.to_thread(bot.home.store.settings, _scope(bot))}
    for server_id in sorted(noted - present):
        if _is_of_this_process(bot, server_id):
            await leave(bot, server_id)
    await note(bot, *sorted(present - noted))


async def note(bot: ChinwagBot, *server_ids: int) -> None:
    """Remember that the bot is on these servers. Raises StorageError."""
    if server_ids:
        changes = {str(server_id): True for server_id in server_ids}
        await asyncio.to_thread(bot.home.store.put_settings, _scope(bot), changes)


async def leave(bot: ChinwagBot, server_id: int) -> None:
    """Delete a server's conversations and settings. Raises StorageError."""
    erased = await asyncio.to_thread(bot.home.store.erase, "discord", f"server:{server_id}/")
    await bot.servers.drop(server_id)
    await asyncio.to_thread(bot.home.store.put_settings, _scope(bot), {str(server_id): None})
    log.info("left server %s: %s", server_id, erased)


def _scope(bot: ChinwagBot) -> str:
    return f"discord:app:{bot.application_id}:servers"


def _is_of_this_process(bot: ChinwagBot, server_id: int) -> bool:
    """Another process with other shards sees, and deletes, its own servers."""
    return not bot.shard_ids or (server_id >> 22) % (bot.shard_count or 1) in bot.shard_ids
