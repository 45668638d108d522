"""Starts and stops the Discord bot: token, invite link, health page, signals, draining."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import aiohttp
import discord
import yarl
from aiohttp import web
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.bootstrap import open_engine, open_history
from bot.doors.discord_client import ChinwagBot
from bot.doors.discord_home import Home, Manners
from bot.doors.metrics import Metrics
from bot.doors.signals import stopping
from bot.rating_form import RatingForm
from bot.settings import Settings
from dialogue.errors import UserError

log = logging.getLogger("chinwag.discord")
DRAIN_S = 20.0
PERMISSIONS = discord.Permissions(
    view_channel=True, send_messages=True, send_messages_in_threads=True, read_message_history=True
)
"""All that the bot asks for; its commands need no permission."""


async def run_discord(settings: Settings, form: RatingForm, say: Callable[[str], None]) -> None:
    """Log in, open the engine, answer until SIGTERM or SIGINT. UserError for a token or intent that is refused."""
    token = settings.discord_token.get_secret_value()
    if not token:
        raise UserError("Set CHINWAG_DISCORD_TOKEN to your bot's token; docs/discord.md shows where to get one.")
    redirect(settings)
    async with AsyncExitStack() as stack:
        home = await _home(settings, form, say, stack)
        bot = ChinwagBot(home, shard_count=settings.discord_shards or None, shard_ids=shards_of_this_process(settings))
        stack.push_async_callback(bot.close)
        await _log_in(bot, token)
        say(f"Invite the bot to a server: {invite(bot)}")
        if settings.discord_health_port:
            await stack.enter_async_context(health_page(bot, settings.host, settings.discord_health_port))
        await _stay(bot, say)


def shards_of_this_process(settings: Settings) -> tuple[int, ...] | None:
    """The shards in ``CHINWAG_DISCORD_SHARD_IDS`` ("0-3,8"), None for all; UserError for nonsense."""
    if not settings.discord_shard_ids:
        return None
    try:
        spans = [part.split("-") for part in settings.discord_shard_ids.replace(" ", "").split(",")]
        shards = sorted({shard for span in spans for shard in range(int(span[0]), int(span[-1]) + 1)})
    except ValueError:
        shards = []
    if not shards or shards[-1] >= settings.discord_shards:
        raise UserError(
            f"CHINWAG_DISCORD_SHARD_IDS={settings.discord_shard_ids!r} must name shards like 0-3 or 0,2, each below "
            f"CHINWAG_DISCORD_SHARDS ({settings.discord_shards}), the number of all shards of all processes."
        )
    return tuple(shards)


async def _log_in(bot: ChinwagBot, token: str) -> None:
    try:
        await bot.login(token)
    except discord.LoginFailure:
        raise UserError("Discord does not accept CHINWAG_DISCORD_TOKEN; copy it again (docs/discord.md).") from None
    except discord.HTTPException as error:
        raise UserError(f"Discord refuses the login for now (HTTP {error.status}); try again later.") from None
    except (aiohttp.ClientError, OSError) as error:
        raise UserError(f"Discord cannot be reached ({type(error).__name__}); check this machine's network.") from None


async def _home(settings: Settings, form: RatingForm, say: Callable[[str], None], stack: AsyncExitStack) -> Home:
    manners = Manners(
        settings.reply_timeout_s,
        settings.discord_cooldown_s,
        settings.discord_channel_queue,
        settings.retention_days,
        settings.discord_message_content,
    )
    if not settings.engine_url:
        engine = await stack.enter_async_context(open_engine(settings, say))
        metrics = Metrics()
        metrics.watch(engine.responder)
        return Home(engine, engine.store, manners, form, metrics)
    from bot.remote import open_remote

    store = await asyncio.to_thread(open_history, settings)
    stack.callback(store.close)
    key = settings.api_key.get_secret_value()
    remote = await stack.enter_async_context(open_remote(settings.engine_url, key, timeout_s=settings.reply_timeout_s))
    return Home(remote, store, manners, form)


async def _stay(bot: ChinwagBot, say: Callable[[str], None]) -> None:
    """Stay connected until told to stop; then answer what is under way and leave."""
    told = asyncio.Event()
    with stopping(told.set):
        connected = asyncio.ensure_future(bot.connect())
        waiting = asyncio.ensure_future(told.wait())
        await asyncio.wait([connected, waiting], return_when=asyncio.FIRST_COMPLETED)
        if told.is_set():
            bot.draining = True
            say("Stopping: finishing what is under way.")
            if not await bot.lanes.idle(DRAIN_S):
                log.warning("some messages were not answered in time")
        await bot.close()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await _connected(connected)


async def _connected(connection: asyncio.Future[None]) -> None:
    try:
        await connection
    except discord.PrivilegedIntentsRequired:
        raise UserError(
            "Discord refuses the message content intent: switch it on for your bot in Discord's developer portal, "
            "or unset CHINWAG_DISCORD_MESSAGE_CONTENT."
        ) from None
    except discord.LoginFailure:
        raise UserError("Discord does not accept CHINWAG_DISCORD_TOKEN any more; copy it again.") from None
    except (discord.GatewayNotFound, discord.HTTPException, aiohttp.ClientError, OSError) as error:
        raise UserError(f"Discord's gateway cannot be reached ({type(error).__name__}); try again later.") from None
    except discord.ConnectionClosed as error:
        raise UserError(f"Discord closed the connection for good (code {error.code}); see docs/discord.md.") from None


def redirect(settings: Settings) -> None:
    """Use another address than Discord's own, where the settings name one."""
    if settings.discord_api_url:
        Route.BASE = settings.discord_api_url
    if settings.discord_gateway_url:
        DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(settings.discord_gateway_url)


def invite(bot: ChinwagBot) -> str:
    """The link that adds the bot to a server with the least permissions."""
    assert bot.application_id is not None
    return discord.utils.oauth_url(bot.application_id, permissions=PERMISSIONS, scopes=("bot", "applications.commands"))


@asynccontextmanager
async def health_page(bot: ChinwagBot, host: str, port: int) -> AsyncIterator[None]:
    """/health/live, /health/ready and /metrics of the bot."""

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(request: web.Request) -> web.Response:
        fine = is_connected(bot) and not bot.draining
        return web.json_response({"status": "ok" if fine else "unavailable"}, status=200 if fine else 503)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text=metrics_text(bot))

    app = web.Application()
    app.add_routes([web.get("/health/live", live), web.get("/health/ready", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise UserError(f"CHINWAG_DISCORD_HEALTH_PORT {port} cannot be used: {error.strerror}.") from None
        yield
    finally:
        await runner.cleanup()


def is_connected(bot: ChinwagBot) -> bool:
    """Whether every shard has its connection now: discord.py stays "ready" while it tries to get one back."""
    return bot.is_ready() and not bot.is_closed() and not any(shard.is_closed() for shard in bot.shards.values())


def metrics_text(bot: ChinwagBot) -> str:
    """Counts in Prometheus's text format; the engine's too, where it is in this process."""
    lines = ["# TYPE chinwag_discord_messages_total counter"]
    lines += [f'chinwag_discord_messages_total{{kind="{kind}"}} {n}' for kind, n in sorted(bot.counts.items())]
    lines += ["# TYPE chinwag_discord_servers gauge", f"chinwag_discord_servers {len(bot.guilds)}"]
    lines.append("# TYPE chinwag_discord_latency_seconds gauge")
    for shard, latency in bot.latencies:
        if latency == latency:  # not a number until the first heartbeat
            lines.append(f'chinwag_discord_latency_seconds{{shard="{shard}"}} {latency:.4f}')
    return "\n".join(lines) + "\n" + (bot.home.metrics.text().decode() if bot.home.metrics else "")
