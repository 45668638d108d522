"""The slash commands. Each acknowledges at once and answers within Discord's fifteen minutes."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.doors.discord_buttons import CHOICES, store_rating
from bot.doors.discord_lanes import LaneFull
from bot.doors.discord_render import LIMIT, split_message, without_mentions
from bot.doors.discord_server import ServerSettings
from bot.doors.discord_words import sentence_for, word
from bot.doors.wordless import wordless
from bot.exchange import IncomingMessage
from bot.history.store import Record
from dialogue.errors import ChinwagError, UserError
from dialogue.persona_cards import load_persona, persona_names
from dialogue.turns import ConversationKey, PersonKey

if TYPE_CHECKING:
    from bot.doors.discord_client import ChinwagBot

log = logging.getLogger("chinwag.discord")
Interaction = discord.Interaction[Any]
SYNCED = "commands"


class CannotTalkHere(UserError):
    """The server's settings forbid this channel or person."""


def add_commands(bot: ChinwagBot) -> None:
    """Put every command into the bot's tree."""
    from bot.doors.discord_settings import settings_command

    tree = bot.tree
    tree.on_error = _on_error  # type: ignore[method-assign]
    ours: list[app_commands.Command[Any, ..., Any]] = [
        chat, reset, persona, why, rate, forget, export, privacy, help_, settings_command,
    ]  # fmt: skip
    for command in ours:
        if tree.get_command(command.name) is None:
            tree.add_command(command)


async def sync_if_changed(bot: ChinwagBot) -> bool:
    """Register the commands with Discord only when they differ from what was registered last; whether they did."""
    payload = [command.to_dict(bot.tree) for command in bot.tree.get_commands()]
    digest = hashlib.sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()
    scope = f"discord:app:{bot.application_id}"
    stored = await asyncio.to_thread(bot.home.store.settings, scope)
    if stored.get(SYNCED) == digest:
        return False
    try:
        await bot.tree.sync()
    except discord.HTTPException as error:  # talking needs no commands: they are registered at the next start
        log.warning("the commands could not be registered: HTTP %s, code %s", error.status, error.code)
        return False
    await asyncio.to_thread(bot.home.store.put_settings, scope, {SYNCED: digest})
    return True


def bot_of(interaction: Interaction) -> ChinwagBot:
    """The client that got this interaction."""
    bot: ChinwagBot = interaction.client
    return bot


async def start(interaction: Interaction, *, private: bool = True) -> ServerSettings:
    """Acknowledge at once, then look the server's settings up."""
    await interaction.response.defer(ephemeral=private, thinking=True)
    return await bot_of(interaction).servers.of(interaction.guild_id)


def place(interaction: Interaction) -> ConversationKey:
    """The conversation of the channel the command was given in."""
    number, server = interaction.channel_id, interaction.guild_id
    return ConversationKey("discord", f"server:{server}/{number}" if server else f"dm:{number}")


def person(interaction: Interaction) -> PersonKey:
    """Who gave the command."""
    return PersonKey("discord", str(interaction.user.id))


@app_commands.command(description="Talk to the bot")
@app_commands.describe(text="What you want to say")
async def chat(interaction: Interaction, text: app_commands.Range[str, 1, 2000]) -> None:
    """Talk to the bot."""
    settings = await start(interaction, private=False)
    bot = bot_of(interaction)
    _check_welcome(interaction, settings)
    key = place(interaction)
    try:
        async with bot.lanes.turn(interaction.channel_id or 0):
            if bot.draining:
                raise CannotTalkHere(word("leaving", settings.language))
            message = IncomingMessage(
                key,
                person(interaction),
                text,
                time.monotonic() + bot.home.manners.timeout_s,
                speaker=interaction.user.display_name if interaction.guild_id else None,
                message_id=str(interaction.id),
                persona=await bot.persona_at(key, settings),
                options={"safety": dict(settings.safety)} if settings.safety else {},
            )
            reply = await bot.reply_to(message)
            asked = discord.utils.escape_markdown(text.replace("\n", " ")[:200])  # a fence here would swallow the reply
            said = without_mentions(f"> {asked}\n{reply.turn.text}")
            sent = await _send_all(interaction, said, reply.turn_id, settings)
            await bot.remember(key, reply.turn_id, tuple(str(each.id) for each in sent))
            bot.count("answered")
    except LaneFull:
        bot.count("refused_busy")
        await interaction.followup.send(word("busy", settings.language))


def check_place(interaction: Interaction, settings: ServerSettings) -> None:
    """CannotTalkHere where the server closed the channel, or lets certain roles only talk to the bot."""
    parent = getattr(interaction.channel, "parent_id", None)
    if {interaction.channel_id, parent} & set(settings.closed_channels):
        raise CannotTalkHere(word("closed", settings.language))
    if interaction.guild_id and not settings.lets_in({r.id for r in getattr(interaction.user, "roles", ())}):
        raise CannotTalkHere(word("not_for_you", settings.language))


def _check_welcome(interaction: Interaction, settings: ServerSettings) -> None:
    bot = bot_of(interaction)
    check_place(interaction, settings)
    if bot.draining:
        raise CannotTalkHere(word("leaving", settings.language))
    why = bot.too_much(interaction.guild_id, interaction.channel_id or 0, interaction.user.id, settings)
    if why:
        raise CannotTalkHere(word(why, settings.language))


async def _send_all(
    interaction: Interaction, text: str, turn_id: int, settings: ServerSettings
) -> list[discord.WebhookMessage]:
    from bot.doors.discord_buttons import rating_view

    pieces = split_message(text)
    sent = []
    for piece in pieces[:-1]:
        sent.append(await interaction.followup.send(piece, wait=True))
    view = rating_view(turn_id, settings.language) if settings.ratings else discord.utils.MISSING
    return [*sent, await interaction.followup.send(pieces[-1], view=view, wait=True)]


@app_commands.command(description="Begin a new conversation here")
async def reset(interaction: Interaction) -> None:
    """Begin a new conversation here."""
    settings = await start(interaction, private=False)
    check_place(interaction, settings)
    await bot_of(interaction).home.engine.reset(place(interaction))
    await interaction.followup.send(word("reset", settings.language))


@app_commands.command(description="Choose who the bot is in this channel")
@app_commands.describe(name="The persona's name")
async def persona(interaction: Interaction, name: str) -> None:
    """Choose who the bot is in this channel."""
    settings = await start(interaction, private=False)
    check_place(interaction, settings)
    card = await bot_of(interaction).home.engine.use_persona(place(interaction), _card_name(name))
    await interaction.followup.send(word("persona", settings.language, who=card.name))


def _card_name(name: str) -> str:
    """Shipped cards only: a name from Discord must never be a path."""
    load_persona(name.removesuffix(".toml").replace("/", "_"))
    return name.removesuffix(".toml").replace("/", "_")


@persona.autocomplete("name")
async def persona_choices(interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
    """Cards whose names contain what was typed."""
    names = [name for name in persona_names() if current.lower() in name]
    return [app_commands.Choice(name=name, value=name) for name in names[:25]]


@app_commands.command(description="How my last reply here came about")
async def why(interaction: Interaction) -> None:
    """How the last reply here came about."""
    settings = await start(interaction)
    record = await _last_record(interaction)
    text = word("nothing_yet", settings.language) if record is None else story(record)
    await interaction.followup.send(text[:LIMIT], ephemeral=True)


async def _last_record(interaction: Interaction) -> Record | None:
    return await asyncio.to_thread(bot_of(interaction).home.store.why, place(interaction))


def story(record: Record) -> str:
    """Where the words come from, the candidates in their order, and the seconds by stage."""
    reply = record.reply
    seconds = " · ".join(f"{stage} {value:.2f} s" for stage, value in reply.seconds.items())
    lines = [f"**{reply.source}** · {record.model} · {record.persona} · heard: {reply.verdict_in.action}", seconds]
    for candidate in reply.candidates[:8]:
        unsafe = (candidate.dropped_by or "").startswith("safety:")
        text = "…" if unsafe else discord.utils.escape_markdown(candidate.text[:120])  # minors read along
        dropped = f" (dropped: {candidate.dropped_by})" if candidate.dropped_by else ""
        lines.append(f"`{candidate.hypothesis.score:8.3f}` {text}{dropped}")
    return "\n".join(lines)


@app_commands.command(description="Rate my last reply here")
@app_commands.describe(answer="What you think of it")
@app_commands.choices(
    answer=[
        app_commands.Choice(name="👍 good", value="good"),
        app_commands.Choice(name="👎 bad", value="bad"),
        app_commands.Choice(name="makes sense", value="sensible"),
        app_commands.Choice(name="specific", value="specific"),
    ]
)
async def rate(interaction: Interaction, answer: app_commands.Choice[str]) -> None:
    """Rate the last reply here; giving the command is the consent."""
    settings = await start(interaction)
    record = await _last_record(interaction)
    if not settings.ratings or record is None:
        reason = "nothing_yet" if settings.ratings else "ratings_off"
        await interaction.followup.send(word(reason, settings.language), ephemeral=True)
        return
    label, value = next((label, value) for name, label, value in CHOICES if name == answer.value)
    await store_rating(interaction, label, value, record.reply.turn_id)


@app_commands.command(description="Delete everything that is stored about you")
async def forget(interaction: Interaction) -> None:
    """Delete everything that is stored about the person, on every server."""
    settings = await start(interaction)
    forgotten = await bot_of(interaction).home.engine.forget(person(interaction))
    await interaction.followup.send(word("forgotten", settings.language, what=forgotten), ephemeral=True)


@app_commands.command(description="Get everything that is stored about you")
async def export(interaction: Interaction) -> None:
    """Everything that is stored about the person, as a file that only they see."""
    settings = await start(interaction)
    exported = await bot_of(interaction).home.engine.export(person(interaction))
    data = json.dumps(exported.data, ensure_ascii=False, indent=2, default=str).encode()
    file = discord.File(io.BytesIO(data), "chinwag-export.json")
    await interaction.followup.send(word("exported", settings.language), file=file, ephemeral=True)


@app_commands.command(description="What is stored, and for how long")
async def privacy(interaction: Interaction) -> None:
    """What is stored, and for how long."""
    settings = await start(interaction)
    days = bot_of(interaction).home.manners.retention_days
    kept = word("days", settings.language, n=days) if days else ""
    await interaction.followup.send(word("privacy", settings.language, days=kept), ephemeral=True)


@app_commands.command(name="help", description="How to talk to me")
async def help_(interaction: Interaction) -> None:
    """How to talk to the bot."""
    settings = await start(interaction)
    await interaction.followup.send(word("help", settings.language), ephemeral=True)


async def _on_error(interaction: Interaction, error: app_commands.AppCommandError) -> None:
    """A sentence for the person, the kind of failure for the log, a traceback for nobody."""
    cause = getattr(error, "original", error)
    if isinstance(cause, discord.NotFound):  # answered too late: Discord has forgotten the interaction
        log.warning("an interaction was answered too late")
        return
    if isinstance(cause, ChinwagError | app_commands.CheckFailure):
        log.info("a command was refused: %s", type(cause).__name__)
    else:
        log.error("a command failed: %s", type(cause).__name__, exc_info=wordless(cause))
    language = bot_of(interaction).servers.language(interaction.guild_id)
    if isinstance(error, app_commands.CheckFailure):
        text = word("managers_only", language)
    else:
        text = sentence_for(cause if isinstance(cause, ChinwagError) else ChinwagError(), language)
    try:
        send = interaction.followup.send if interaction.response.is_done() else interaction.response.send_message
        await send(text, ephemeral=True)
    except discord.HTTPException as failure:
        log.warning("the failure could not be told: HTTP %s", failure.status)
