"""A Discord of our own over real sockets: REST and gateway as far as the bot uses them, with the rules it must keep."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

Json = dict[str, Any]
TOKEN = "MTIzNDU2.fake.token"
APP_ID = 900
EPOCH_MS = 1_420_070_400_000
CONTENT_INTENT = 1 << 15
_counter = itertools.count(1)
_START_S = time.time() - time.monotonic()
"""Ids follow a clock that nobody can set back: their order is the order of the messages."""


def snowflake() -> int:
    """A fresh id that says it was made now, in milliseconds, as Discord's do."""
    return ((int((_START_S + time.monotonic()) * 1000) - EPOCH_MS) << 22) | (next(_counter) & 0x3FFFFF)


def error(status: int, code: int, message: str) -> web.Response:
    return answer({"code": code, "message": message}, status)


JSON_TYPE = {"Content-Type": "application/json"}


def answer(value: object, status: int = 200) -> web.Response:
    """JSON with exactly the content type that discord.py looks for."""
    return web.Response(body=json.dumps(value).encode(), status=status, headers=JSON_TYPE)


@dataclass(eq=False)
class Session:
    """One gateway session: its shard, what was sent, and the socket while it is connected."""

    id: str
    shard: tuple[int, int]
    intents: int
    sent: list[Json] = field(default_factory=list)
    socket: web.WebSocketResponse | None = None


@dataclass
class FakeDiscord:
    """State and behaviour; tests set the public fields and read what happened."""

    shards: int = 1
    allow_content: bool = True
    heartbeat_ms: int = 1500
    patience_s: float = 60.0
    """With an interaction that is not acknowledged. Discord's own three seconds would test the machine, not the bot:
    that it acknowledges before it does anything else is seen by the order in which things come."""
    sessions: dict[str, Session] = field(default_factory=dict)
    posted: dict[int, list[Json]] = field(default_factory=lambda: defaultdict(list))
    messages: dict[int, Json] = field(default_factory=dict)
    channels: dict[int, Json] = field(default_factory=dict)
    guilds: dict[int, Json] = field(default_factory=dict)
    typing: list[int] = field(default_factory=list)
    typing_fails: bool = False
    gateway_down: bool = False
    commands: list[Json] = field(default_factory=list)
    syncs: int = 0
    heartbeats: list[float] = field(default_factory=list)
    resumes: list[int] = field(default_factory=list)
    identifies: list[Json] = field(default_factory=list)
    callbacks: dict[int, list[Json]] = field(default_factory=lambda: defaultdict(list))
    followups: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    interactions: dict[str, float] = field(default_factory=dict)
    limit_next: int = 0
    limited: int = 0
    too_late: list[int] = field(default_factory=list)
    broken_rules: list[str] = field(default_factory=list)
    url: str = ""
    gateway: str = ""

    # --- what tests do ------------------------------------------------------------------------------------------

    def add_guild(self, guild_id: int, *channel_ids: int) -> None:
        """A server with text channels."""
        channels: list[Json] = [
            {
                "id": str(c),
                "type": 0,
                "name": f"c{c}",
                "guild_id": str(guild_id),
                "position": 0,
                "permission_overwrites": [],
            }
            for c in channel_ids
        ]
        everyone = {"id": str(guild_id), "name": "@everyone", "permissions": str(0x7FFFFFFFFFFF), "position": 0,
                    "color": 0, "hoist": False, "managed": False, "mentionable": False, "flags": 0}  # fmt: skip
        me = {
            "user": self.me,
            "roles": [],
            "joined_at": "2026-01-01T00:00:00+00:00",
            "deaf": False,
            "mute": False,
            "flags": 0,
        }
        self.guilds[guild_id] = {
            "id": str(guild_id), "name": f"g{guild_id}", "owner_id": "1", "channels": channels, "roles": [everyone],
            "members": [me], "threads": [], "emojis": [], "stickers": [], "member_count": 2, "features": [],
            "verification_level": 0, "default_message_notifications": 0, "explicit_content_filter": 0, "mfa_level": 0,
            "premium_tier": 0, "nsfw_level": 0, "preferred_locale": "en-US", "voice_states": [], "presences": [],
            "unavailable": False, "large": False, "system_channel_flags": 0, "afk_timeout": 60, "stage_instances": [],
            "guild_scheduled_events": [], "soundboard_sounds": [],
        }  # fmt: skip
        self.channels |= {int(channel["id"]): channel for channel in channels}

    @property
    def me(self) -> Json:
        return {"id": str(APP_ID), "username": "chinwag", "discriminator": "0", "avatar": None, "bot": True, "flags": 0}

    async def says(
        self,
        channel_id: int,
        author: int,
        text: str,
        *,
        to_bot: bool = True,
        reply_to: int | None = None,
        bot: bool = False,
    ) -> int:
        """A person writes; their message reaches the bot as the intents allow. Returns its id."""
        channel = self.channels[channel_id]
        number = snowflake()
        content = f"<@{APP_ID}> {text}" if to_bot and "guild_id" in channel else text
        message = self._message(number, channel_id, author_of(author, bot), content)
        if to_bot and "guild_id" in channel:
            message["mentions"] = [self.me]
        if reply_to is not None:
            message |= {"type": 19, "message_reference": {"message_id": str(reply_to), "channel_id": str(channel_id)},
                        "referenced_message": self.messages.get(reply_to)}  # fmt: skip
            if self.messages.get(reply_to, {}).get("author", {}).get("id") == str(APP_ID):
                message["mentions"] = [self.me]
        self.messages[number] = message
        await self.emit("MESSAGE_CREATE", message, channel.get("guild_id"))
        return number

    async def open_thread(self, thread_id: int, parent_id: int, *, with_bot: bool) -> None:
        """Somebody opens a public thread in a channel, perhaps with the bot in it."""
        guild_id = self.channels[parent_id]["guild_id"]
        self.channels[thread_id] = {
            "id": str(thread_id), "type": 11, "name": f"t{thread_id}", "guild_id": guild_id, "owner_id": "1",
            "parent_id": str(parent_id), "message_count": 0, "member_count": 1, "rate_limit_per_user": 0, "flags": 0,
            "total_message_sent": 0, "thread_metadata": {
                "archived": False, "auto_archive_duration": 60, "locked": False,
                "archive_timestamp": "2026-01-01T00:00:00+00:00",
            },
        }  # fmt: skip
        member = {"member": _thread_member(thread_id)} if with_bot else {}
        await self.emit("THREAD_CREATE", {**self.channels[thread_id], **member, "newly_created": True}, guild_id)

    async def add_bot_to_thread(self, thread_id: int, parent_id: int) -> None:
        """The bot becomes a member, as it does when it is mentioned in a thread."""
        guild_id = self.channels[parent_id]["guild_id"]
        added = {"id": str(thread_id), "guild_id": guild_id, "member_count": 2,
                 "added_members": [{**_thread_member(thread_id), "member": None, "presence": None}]}  # fmt: skip
        await self.emit("THREAD_MEMBERS_UPDATE", added, guild_id)

    async def command(self, channel_id: int, author: int, name: str, **options: str) -> tuple[int, str]:
        """A person uses a slash command; id and token of the interaction."""
        known = next(command for command in self.commands if command["name"] == name)
        given = [{"name": key, "type": 3, "value": value} for key, value in options.items()]
        data = {"id": known["id"], "name": name, "type": 1, "options": given}
        return await self._interaction(channel_id, author, 2, data)

    async def press(self, message_id: int, author: int, custom_id: str) -> tuple[int, str]:
        """A person presses a button."""
        message = self.messages[message_id]
        data = {"custom_id": custom_id, "component_type": 2}
        return await self._interaction(int(message["channel_id"]), author, 3, data, message=message)

    async def _interaction(self, channel_id: int, author: int, kind: int, data: Json, **more: Any) -> tuple[int, str]:
        number = snowflake()
        token = f"tok-{number}"
        channel = self.channels[channel_id]
        self.interactions[token] = time.monotonic()
        person = author_of(author)
        who: Json = {"user": person}
        if "guild_id" in channel:
            member = {"user": person, "roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False,
                      "permissions": "2147483647", "mute": False, "flags": 0}  # fmt: skip
            who = {
                "member": member,
                "guild_id": channel["guild_id"],
                "guild": {"id": channel["guild_id"], "features": [], "locale": "en-US"},
            }
        body = {
            "id": str(number), "application_id": str(APP_ID), "type": kind, "token": token, "version": 1, "data": data,
            "channel_id": str(channel_id), "channel": {**channel, "permissions": "2147483647"}, "locale": "en-US",
            "entitlements": [], "attachment_size_limit": 1000000, "app_permissions": "2147483647",
            "authorizing_integration_owners": {}, "context": 0, **who, **more,
        }  # fmt: skip
        await self.emit("INTERACTION_CREATE", body, channel.get("guild_id"))
        return number, token

    def bot_said(self, channel_id: int) -> list[str]:
        """What the bot posted in a channel."""
        return [message["content"] for message in self.posted[channel_id]]

    async def until(self, condition: Callable[[], object], timeout_s: float = 120.0) -> None:
        """Wait for something that the bot does."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"this never came true; the bot said {dict(self.posted)}"
            await asyncio.sleep(0.02)

    def connected(self) -> list[Session]:
        """Sessions with an open socket."""
        return [session for session in self.sessions.values() if session.socket is not None]

    async def hang_up(self, code: int) -> None:
        """Close every gateway connection with a code."""
        for session in self.connected():
            socket, session.socket = session.socket, None
            if socket is not None:
                await socket.close(code=code)

    async def ask_to_reconnect(self) -> None:
        """Op 7 to everybody."""
        for session in self.connected():
            assert session.socket is not None
            await session.socket.send_json({"op": 7, "d": None})

    async def emit(self, event: str, data: Json, guild_id: str | None = None) -> None:
        """Send an event to the session of the right shard; keep it for a resume."""
        for session in list(self.sessions.values()):
            index, count = session.shard
            if (int(guild_id) >> 22) % count == index if guild_id else index == 0:
                shown = data if event != "MESSAGE_CREATE" else _as_allowed(data, session.intents)
                await self._send(session, event, shown)

    # --- gateway ------------------------------------------------------------------------------------------------

    async def _send(self, session: Session, event: str, data: Json) -> None:
        packet = {"op": 0, "t": event, "s": len(session.sent) + 1, "d": data}
        session.sent.append(packet)
        if session.socket is not None:
            with suppress(ConnectionError, RuntimeError):
                await session.socket.send_json(packet)

    async def _gateway(self, request: web.Request) -> web.StreamResponse:
        if self.gateway_down:
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": self.heartbeat_ms}})
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                await self._packet(socket, json.loads(frame.data))
        except ConnectionError:  # the bot went away while it was being answered
            pass
        finally:
            for session in self.sessions.values():
                if session.socket is socket:
                    session.socket = None
        return socket

    async def _packet(self, socket: web.WebSocketResponse, packet: Json) -> None:
        if packet["op"] == 1:
            self.heartbeats.append(time.monotonic())
            await socket.send_json({"op": 11})
        elif packet["op"] == 2:
            await self._identify(socket, packet["d"])
        elif packet["op"] == 6:
            await self._resume(socket, packet["d"])

    async def _identify(self, socket: web.WebSocketResponse, data: Json) -> None:
        self.identifies.append(data)
        if data["token"] != TOKEN:
            await socket.close(code=4004)
            return
        if data["intents"] & CONTENT_INTENT and not self.allow_content:
            await socket.close(code=4014)
            return
        shard = tuple(data.get("shard") or (0, 1))
        session = Session(f"s{snowflake()}", (shard[0], shard[1]), data["intents"])
        self.sessions = {key: other for key, other in self.sessions.items() if other.shard != session.shard}
        self.sessions[session.id] = session
        own = [g for g in self.guilds.values() if (int(g["id"]) >> 22) % shard[1] == shard[0]]
        unavailable = [{"id": guild["id"], "unavailable": True} for guild in own]
        ready = {
            "v": 10, "user": self.me, "guilds": unavailable, "session_id": session.id, "shard": list(shard),
            "resume_gateway_url": self.gateway, "application": {"id": str(APP_ID), "flags": 0},
        }  # fmt: skip
        await self._send(session, "READY", ready)
        for guild in own:
            await self._send(session, "GUILD_CREATE", guild)
        await self._catch_up(session, socket, 0)

    async def _resume(self, socket: web.WebSocketResponse, data: Json) -> None:
        session = self.sessions.get(data["session_id"])
        if session is None:
            await socket.send_json({"op": 9, "d": False})
            return
        self.resumes.append(data["seq"])
        session.socket = None  # what is said from here on is caught up with, in its order
        await self._catch_up(session, socket, data["seq"])
        await self._send(session, "RESUMED", {})

    async def _catch_up(self, session: Session, socket: web.WebSocketResponse, seen: int) -> None:
        """Send what this socket has not seen, also what comes meanwhile; only then is it the session's."""
        while seen < len(session.sent):
            await socket.send_json(session.sent[seen])
            seen += 1
        session.socket = socket

    # --- REST ---------------------------------------------------------------------------------------------------

    def _message(self, number: int, channel_id: int, author: Json, content: str) -> Json:
        channel = self.channels[channel_id]
        where = {"guild_id": channel["guild_id"]} if "guild_id" in channel else {}
        member = {"roles": [], "joined_at": "2026-01-01T00:00:00+00:00", "deaf": False, "mute": False, "flags": 0}
        return {
            "id": str(number), "channel_id": str(channel_id), "author": author, "content": content, "type": 0,
            "timestamp": "2026-01-01T00:00:00+00:00", "edited_timestamp": None, "tts": False, "mention_everyone": False,
            "mentions": [], "mention_roles": [], "attachments": [], "embeds": [], "pinned": False, "components": [],
            "flags": 0, **where, **({"member": member} if where else {}),
        }  # fmt: skip

    @web.middleware
    async def _gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """Authorisation and rate limits, as Discord has them."""
        if request.path == "/gateway":
            result: web.StreamResponse = await handler(request)
            return result
        open_to_all = "/webhooks/" in request.path or "/callback" in request.path
        if not open_to_all and request.headers.get("Authorization") != f"Bot {TOKEN}":
            return error(401, 0, "401: Unauthorized")
        if self.limit_next > 0 and request.method == "POST" and request.path.endswith("/messages"):
            self.limit_next -= 1
            self.limited += 1
            body = {"message": "You are being rate limited.", "retry_after": 0.15, "global": False}
            return web.Response(body=json.dumps(body).encode(), status=429, headers={**JSON_TYPE, "Via": "1.1 fake"})
        done: web.StreamResponse = await handler(request)
        return done

    async def _self(self, request: web.Request) -> web.Response:
        return answer(self.me)

    async def _application(self, request: web.Request) -> web.Response:
        about = {"id": str(APP_ID), "name": "chinwag", "icon": None, "description": "", "bot_public": True, "flags": 0}
        return answer({**about, "bot_require_code_grant": False, "verify_key": "", "owner": author_of(1), "team": None})

    async def _gateway_bot(self, request: web.Request) -> web.Response:
        limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 16}
        return answer({"url": self.gateway, "shards": self.shards, "session_start_limit": limit})

    async def _commands(self, request: web.Request) -> web.Response:
        self.syncs += 1
        self.commands = [
            {
                **command,
                "id": str(7000 + i),
                "application_id": str(APP_ID),
                "version": "1",
                "default_member_permissions": None,
            }
            for i, command in enumerate(await request.json())
        ]
        return answer(self.commands)

    async def _typing(self, request: web.Request) -> web.Response:
        if self.typing_fails:
            return error(500, 0, "500: Internal Server Error")
        self.typing.append(int(request.match_info["channel"]))
        return web.Response(status=204)

    async def _post(self, request: web.Request) -> web.Response:
        channel_id = int(request.match_info["channel"])
        body = await request.json()
        if channel_id not in self.channels:
            return error(404, 10003, "Unknown Channel")
        known = next((m for m in self.posted[channel_id] if m.get("nonce") and m["nonce"] == body.get("nonce")), None)
        if known is not None and body.get("enforce_nonce"):
            return answer(known)
        problem = self._problem(body)
        if problem is not None:
            return problem
        message = self._made_by_bot(channel_id, body)
        self.posted[channel_id].append(message)
        await self.emit("MESSAGE_CREATE", message, self.channels[channel_id].get("guild_id"))
        return answer(message)

    def _problem(self, body: Json) -> web.Response | None:
        content = body.get("content") or ""
        if len(content) > 2000:
            self.broken_rules.append("too long")
            return error(400, 50035, "Must be 2000 or fewer in length.")
        if not content.strip() and not body.get("embeds") and not body.get("attachments"):
            self.broken_rules.append("empty")
            return error(400, 50006, "Cannot send an empty message")
        if body.get("allowed_mentions", {}).get("parse") != []:
            self.broken_rules.append("may ping")
        return None

    def _made_by_bot(self, channel_id: int, body: Json) -> Json:
        message = self._message(snowflake(), channel_id, self.me, body.get("content") or "")
        message |= {"nonce": body.get("nonce"), "components": body.get("components") or []}
        if body.get("message_reference"):
            message |= {"message_reference": {k: str(v) for k, v in body["message_reference"].items()}, "type": 19}
        self.messages[int(message["id"])] = message
        return message

    async def _get_message(self, request: web.Request) -> web.Response:
        found = self.messages.get(int(request.match_info["message"]))
        return answer(found) if found else error(404, 10008, "Unknown Message")

    async def _callback(self, request: web.Request) -> web.Response:
        number, token = int(request.match_info["interaction"]), request.match_info["token"]
        if time.monotonic() - self.interactions[token] > self.patience_s:
            self.too_late.append(number)
            return error(404, 10062, "Unknown interaction")
        if self.callbacks[number]:
            self.broken_rules.append("acknowledged twice")
            return error(400, 40060, "Interaction has already been acknowledged.")
        body = await request.json()
        self.callbacks[number].append(body)
        made = {"id": str(number), "type": 2, "response_message_loading": True, "response_message_ephemeral": False}
        return answer({"interaction": made, "resource": {"type": body["type"]}})

    async def _followup(self, request: web.Request) -> web.Response:
        body = await _body_of(request)
        problem = self._problem(body) if not body.get("attachments") else None
        if problem is not None:
            return problem
        number = int(request.match_info["token"].removeprefix("tok-"))
        channel_id = next(iter(self.channels))
        message = self._made_by_bot(channel_id, body)
        self.followups[f"tok-{number}"].append(body | {"id": message["id"]})
        return answer(message)

    def app(self) -> web.Application:
        """Every route that the bot uses; any other is a 404 that a test would notice."""
        app = web.Application(middlewares=[self._gate])
        api = "/api/v10"
        app.add_routes([
            web.get("/gateway", self._gateway),
            web.get(f"{api}/users/@me", self._self),
            web.get(f"{api}/oauth2/applications/@me", self._application),
            web.get(f"{api}/applications/@me", self._application),
            web.get(f"{api}/gateway/bot", self._gateway_bot),
            web.put(f"{api}/applications/{{app}}/commands", self._commands),
            web.post(f"{api}/channels/{{channel}}/typing", self._typing),
            web.post(f"{api}/channels/{{channel}}/messages", self._post),
            web.get(f"{api}/channels/{{channel}}/messages/{{message}}", self._get_message),
            web.post(f"{api}/interactions/{{interaction}}/{{token}}/callback", self._callback),
            web.post(f"{api}/webhooks/{{app}}/{{token}}", self._followup),
            web.patch(f"{api}/webhooks/{{app}}/{{token}}/messages/@original", self._followup),
        ])  # fmt: skip
        return app


async def _body_of(request: web.Request) -> Json:
    if request.content_type != "multipart/form-data":
        body: Json = await request.json()
        return body
    form = await request.post()
    payload = form.get("payload_json")
    return {**json.loads(str(payload)), "attachments": [name for name in form if name.startswith("files")]}


def _thread_member(thread_id: int) -> Json:
    return {"id": str(thread_id), "user_id": str(APP_ID), "join_timestamp": "2026-01-01T00:00:00+00:00", "flags": 0}


def author_of(number: int, bot: bool = False) -> Json:
    return {"id": str(number), "username": f"person{number}", "discriminator": "0", "avatar": None, "bot": bot,
            "global_name": f"Person {number}", "flags": 0}  # fmt: skip


def _as_allowed(message: Json, intents: int) -> Json:
    """Without the content intent only direct messages, mentions and the bot's own messages have words."""
    mentioned = any(user["id"] == str(APP_ID) for user in message["mentions"])
    if intents & CONTENT_INTENT or "guild_id" not in message or mentioned or message["author"]["id"] == str(APP_ID):
        return message
    return {**message, "content": "", "embeds": [], "components": [], "attachments": []}


@asynccontextmanager
async def fake_discord(**settings: Any) -> AsyncIterator[FakeDiscord]:
    """A Discord on a free port of this machine."""
    discord = FakeDiscord(**settings)
    runner = web.AppRunner(discord.app(), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    discord.url, discord.gateway = f"http://127.0.0.1:{port}/api/v10", f"ws://127.0.0.1:{port}/gateway"
    try:
        yield discord
    finally:
        await discord.hang_up(1001)
        await runner.cleanup()
