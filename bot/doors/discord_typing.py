"""The typing indicator for as long as the bot thinks. The answer never depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import discord


@asynccontextmanager
async def typing_in(place: discord.abc.Messageable) -> AsyncIterator[None]:
    """The typing indicator beside the work: where Discord refuses or delays it, the answer comes all the same."""
    showing = asyncio.create_task(_type_in(place))
    try:
        yield
    finally:
        showing.cancel()


async def _type_in(place: discord.abc.Messageable) -> None:
    with suppress(discord.HTTPException, aiohttp.ClientError, OSError):
        async with place.typing():
            await asyncio.Event().wait()  # discord.py renews the indicator until this is cancelled
