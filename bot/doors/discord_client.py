"""The Discord client: which messages are for the bot, how they reach the engine, how answers come back.

Slash commands are in discord_commands.py, buttons in discord_buttons.py, starting and stopping in discord_run.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import Any

import aiohttp
import discord
from discord.ext import commands

from bot.doors.discord_buttons import AskConsent, Rate, rating_view
from bot.doors.discord_home import Home
from bot.doors.discord_lanes import Cooldown, LaneFull, Lanes, LoopGuard, Quota, Recent
from bot.doors.discord_leaving import leave, note, take_stock
from bot.doors.discord_render import split_message, without_mentions
from bot.doors.discord_server import Servers, ServerSettings
from bot.doors.discord_typing import typing_in
from bot.doors.discord_words import sentence_for, word
from bot.doors.wordless import wordless
from bot.exchange import IncomingMessage, Reply
from dialogue.errors import ChinwagError
from dialogue.turns import ConversationKey, PersonKey, Role, Turn

log = logging.getLogger("chinwag.discord")
DOOR = "discord"
CHAIN = 4
"""Messages of a reply chain that are read as context, at most."""

Place = discord.abc.Messageable


def intents(message_content: bool) -> discord.Intents:
    """Only what is needed: messages and servers, and the privileged message content only when asked for."""
    wanted = discord.Intents.none()
    wanted.guilds = wanted.guild_messages = wanted.dm_messages = True
    wanted.message_content = message_content
    return wanted


class ChinwagBot(commands.AutoShardedBot):
    """One bot account, on as many shards as Discord advises."""

    def __init__(self, home: Home, *, shard_count: int | None = None, shard_ids: tuple[int, ...] | None = None) -> None:
        """``shard_ids``: those of the ``shard_count`` shards that this process holds; None: all."""
        some_shards: dict[str, Any] = {"shard_ids": list(shard_ids)} if shard_ids else {}
        super().__init__(
            command_prefix=commands.when_mentioned,
            help_command=None,
            intents=intents(home.manners.message_content),
            allowed_mentions=discord.AllowedMentions.none(),
            chunk_guilds_at_startup=False,
            member_cache_flags=discord.MemberCacheFlags.none(),
            max_messages=1000,
            shard_count=shard_count,
            **some_shards,
        )
        self.home = home
        self.servers = Servers(home.store)
        self.lanes = Lanes(home.manners.channel_queue)
        self.cooldown, self.quota, self.recent, self.loops = Cooldown(), Quota(), Recent(), LoopGuard()
        self.draining = False
        self.counts: dict[str, int] = {}

    async def setup_hook(self) -> None:
        """Buttons sent before a restart work again; commands are registered where they changed."""
        from bot.doors.discord_commands import add_commands, sync_if_changed

        self.add_dynamic_items(Rate, AskConsent)
        add_commands(self)
        await sync_if_changed(self)

    def count(self, kind: str) -> None:
        """Count something for the health page."""
        self.counts[kind] = self.counts.get(kind, 0) + 1

    async def on_guild_remove(self, guild: discord.Guild) -> None:
        """A server that the bot left: its conversations and settings go."""
        await leave(self, guild.id)

    async def on_guild_join(self, guild: discord.Guild) -> None:
        """A new server."""
        await note(self, guild.id)

    async def on_ready(self) -> None:
        """Connected: what was left meanwhile goes."""
        await take_stock(self)

    async def on_message(self, message: discord.Message) -> None:
        """Answer a message that is for the bot."""
        if self._may_be_heard(message):
            with self.lanes.under_way():  # who stops the bot waits for this too, not only for those in a lane
                await self._take(message)

    async def _take(self, message: discord.Message) -> None:
        try:
            settings = await self.servers.of(message.guild.id if message.guild else None)
        except ChinwagError as error:  # what the server allows is not known: who spoke to the bot is told, no more
            if self._is_for_me(message, ServerSettings()) and self.recent.is_new(message.id):
                await self._sorry(message, error, "en")
            return
        if not self._is_for_me(message, settings) or not self.recent.is_new(message.id):
            return
        self.count("heard")
        try:
            await self._hear(message, settings)
        except discord.HTTPException as error:
            self.count("not_delivered")
            log.warning("message %s could not be answered: HTTP %s, code %s", message.id, error.status, error.code)
        except Exception as error:  # a bug: its place goes to the log, and nobody is left without a word
            log.error("message %s failed: %s", message.id, type(error).__name__, exc_info=wordless(error))
            await self._sorry(message, ChinwagError(), settings.language)

    async def _sorry(self, message: discord.Message, error: ChinwagError, language: str) -> None:
        """Tell the one who waits that there will be no answer."""
        self.count("failed")
        try:
            await self._say(message, sentence_for(error, language))
        except (discord.HTTPException, aiohttp.ClientError, OSError) as failure:
            self.count("not_delivered")
            log.warning("message %s could not be answered: %s", message.id, type(failure).__name__)

    async def on_error(self, event_method: str, /, *args: object, **kwargs: object) -> None:
        """A failure that no handler took: without its words, which discord.py would log."""
        error = sys.exc_info()[1]
        if error is not None:
            self.count("failed")
            log.error("%s failed: %s", event_method, type(error).__name__, exc_info=wordless(error))

    def _may_be_heard(self, message: discord.Message) -> bool:
        """Not from a bot, a webhook, the bot itself or the system, and with words in it."""
        said_by_person = not message.author.bot and message.webhook_id is None
        ordinary = message.type in (discord.MessageType.default, discord.MessageType.reply)
        return said_by_person and ordinary and bool(message.content.strip())

    def _is_for_me(self, message: discord.Message, settings: ServerSettings) -> bool:
        if message.guild is None:
            return True
        channel = message.channel
        parent = getattr(channel, "parent_id", None)
        if settings.closed_channels and {channel.id, parent} & set(settings.closed_channels):
            return False
        roles = {role.id for role in getattr(message.author, "roles", ())}
        return self._addressed(message, settings, parent) and settings.lets_in(roles)

    def _addressed(self, message: discord.Message, settings: ServerSettings, parent: int | None) -> bool:
        me = self.user
        assert me is not None
        if any(user.id == me.id for user in message.mentions):
            return True
        thread = message.channel if isinstance(message.channel, discord.Thread) else None
        if thread and (thread.owner_id == me.id or thread.me is not None):
            return True
        quoted = message.reference.resolved if message.reference else None
        if isinstance(quoted, discord.Message) and quoted.author.id == me.id:
            return True
        return bool({message.channel.id, parent} & set(settings.open_channels))

    async def _hear(self, message: discord.Message, settings: ServerSettings) -> None:
        if self._in_a_loop(message):
            self.count("ignored_loop")
            return
        refusal = self._refusal(message, settings)
        if refusal:
            await self._refuse(message, refusal, settings)
            return
        try:
            async with self.lanes.turn(message.channel.id):
                if self.draining:  # told to stop while this waited: there is time for the answer under way only
                    await self._refuse(message, "leaving", settings)
                else:
                    await self._answer(message, settings)
        except LaneFull:
            await self._refuse(message, "busy", settings)
        except ChinwagError as error:
            log.warning("message %s was not answered: %s", message.id, type(error).__name__)
            await self._sorry(message, error, settings.language)

    def _in_a_loop(self, message: discord.Message) -> bool:
        """Whether to keep silent: any word would go round and round."""
        channel, author = message.channel.id, message.author.id
        return not self.loops.allows(channel, author, message.content) and not self.loops.says_so(channel, author)

    def _refusal(self, message: discord.Message, settings: ServerSettings) -> str | None:
        """The name of the kind word, where the message is not taken."""
        if self.draining:
            return "leaving"
        if not self.loops.allows(message.channel.id, message.author.id, message.content):
            return "slow_down"
        server = message.guild.id if message.guild else None
        return self.too_much(server, message.channel.id, message.author.id, settings)

    def too_much(self, server: int | None, channel: int, person: int, settings: ServerSettings) -> str | None:
        """The name of the kind word where the server's limits are reached; else the message is counted."""
        cooldown = self.home.manners.cooldown_s if settings.cooldown_s is None else settings.cooldown_s
        of_person, of_channel = ("person", server, person), ("channel", server, channel)
        if not self.quota.has_room(of_person, settings.person_per_minute):
            return "slow_down"
        if not self.quota.has_room(of_channel, settings.channel_per_minute):
            return "enough_here"
        if not self.cooldown.allows(person, cooldown):
            return "slow_down"
        self.quota.take(of_person)
        self.quota.take(of_channel)
        return None

    async def _refuse(self, message: discord.Message, why: str, settings: ServerSettings) -> None:
        self.count(f"refused_{why}")
        await self._say(message, word(why, settings.language))

    async def _say(self, message: discord.Message, text: str) -> None:
        self.loops.said(message.channel.id, message.author.id, text)
        await message.channel.send(text, reference=_reference(message), nonce=f"{message.id}-r")

    async def _answer(self, message: discord.Message, settings: ServerSettings) -> None:
        """Think with the typing indicator on, send, remember what was sent. Holds the channel's lane."""
        key = key_of(message.channel, message.guild)
        if await asyncio.to_thread(self.home.store.turn_sent_as, key, f"to:{message.id}") is not None:
            return  # answered before a restart: a resumed session told us again
        incoming = IncomingMessage(
            key,
            person_of(message.author),
            self._words_of(message),
            time.monotonic() + self.home.manners.timeout_s,
            speaker=message.author.display_name if message.guild else None,
            message_id=str(message.id),
            persona=await self.persona_at(key, settings),
            quoted=await self._chain(message, key),
            options={"safety": dict(settings.safety)} if settings.safety else {},
        )
        async with typing_in(message.channel):
            reply = await self.reply_to(incoming)
        if message.guild and self.get_guild(message.guild.id) is None:  # removed from the server meanwhile
            await leave(self, message.guild.id)
            return
        sent = await self.deliver(message.channel, reply, settings, message)
        await self.remember(key, reply.turn_id, (f"to:{message.id}", *(str(each.id) for each in sent)))
        self.loops.said(message.channel.id, message.author.id, reply.turn.text)

    async def reply_to(self, message: IncomingMessage) -> Reply:
        """The engine's reply, counted."""
        reply = await self.home.engine.reply(message)
        if self.home.metrics is not None:
            self.home.metrics.observe(DOOR, reply, reply.seconds)
        return reply

    async def persona_at(self, key: ConversationKey, settings: ServerSettings) -> str | None:
        """The server's persona, unless this place has chosen its own."""
        if settings.persona is None:
            return None
        stored = await asyncio.to_thread(self.home.store.load, key, last=1)
        return None if stored.persona else settings.persona

    async def deliver(
        self, place: Place, reply: Reply, settings: ServerSettings, to: discord.Message | None = None
    ) -> list[discord.Message]:
        """Send a reply in as many messages as it needs; the last one carries the rating buttons.

        The nonce makes Discord itself drop a message that is sent twice.
        """
        pieces = split_message(without_mentions(reply.turn.text))
        view = rating_view(reply.turn_id, settings.language) if settings.ratings else None
        sent = []
        for number, piece in enumerate(pieces):
            options: dict[str, object] = {"nonce": f"{to.id}-{number}" if to else f"t{reply.turn_id}-{number}"}
            if view is not None and number == len(pieces) - 1:
                options["view"] = view
            if to is not None and number == 0:
                options["reference"] = _reference(to)
            sent.append(await place.send(piece, **options))  # type: ignore[call-overload]
        self.count("answered")
        return sent

    async def remember(self, key: ConversationKey, turn_id: int, message_ids: tuple[str, ...]) -> None:
        """Note under which ids a turn was delivered. A turn that was deleted meanwhile is nothing to worry about."""
        try:
            await asyncio.to_thread(self.home.store.sent, key, turn_id, message_ids)
        except ChinwagError as error:
            log.warning("the delivery of turn %s was not noted: %s", turn_id, type(error).__name__)

    def _words_of(self, message: discord.Message) -> str:
        """What was said, without the bot's own mention and with names in place of ids."""
        assert self.user is not None
        text = message.content
        for form in (f"<@{self.user.id}>", f"<@!{self.user.id}>"):
            text = text.replace(form, " ")
        for user in message.mentions:
            for form in (f"<@{user.id}>", f"<@!{user.id}>"):
                text = text.replace(form, user.display_name)
        return text.strip() or "Hello!"

    async def _chain(self, message: discord.Message, key: ConversationKey) -> tuple[Turn, ...]:
        """The messages this one replies to, oldest first, as far as the history does not end with them anyway."""
        assert self.user is not None
        chain: list[Turn] = []
        quoted = await self._quoted(message)
        while quoted is not None and len(chain) < CHAIN and quoted.content.strip():
            mine = quoted.author.id == self.user.id
            role, speaker = (Role.BOT, None) if mine else (Role.USER, quoted.author.display_name)
            chain.insert(0, Turn(role, self._words_of(quoted), speaker))
            quoted = await self._quoted(quoted)
        if not chain:
            return ()
        stored = await asyncio.to_thread(self.home.store.load, key, last=1)
        last = stored.turns[-1].text if stored.turns else ""
        return () if last and last.startswith(chain[-1].text[:200]) else tuple(chain)

    async def _quoted(self, message: discord.Message) -> discord.Message | None:
        reference = message.reference
        if reference is None or reference.message_id is None:
            return None
        known = reference.resolved or reference.cached_message
        if isinstance(known, discord.Message):
            return known
        if isinstance(known, discord.DeletedReferencedMessage):
            return None
        try:
            return await message.channel.fetch_message(reference.message_id)
        except discord.HTTPException:
            return None


def key_of(channel: Place, guild: discord.Guild | None) -> ConversationKey:
    """A conversation per direct message, thread or channel; the server comes first, so that leaving it can erase."""
    number = getattr(channel, "id", 0)
    return ConversationKey(DOOR, f"server:{guild.id}/{number}" if guild else f"dm:{number}")


def person_of(user: discord.abc.User) -> PersonKey:
    """A person is one account, on every server."""
    return PersonKey(DOOR, str(user.id))


def _reference(message: discord.Message) -> discord.MessageReference:
    return discord.MessageReference(message_id=message.id, channel_id=message.channel.id, fail_if_not_exists=False)
