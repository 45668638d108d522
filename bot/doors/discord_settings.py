"""``/settings``: what those who manage a server can choose. Without options it shows what holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import discord
from discord import app_commands

from bot.doors.discord_lanes import LARGEST_QUOTA
from bot.doors.discord_render import LIMIT
from bot.doors.discord_server import ServerSettings
from bot.doors.discord_words import LANGUAGES, word
from dialogue.persona_cards import load_persona, persona_names
from safety.policy import LEVELS, load_policy

DEFAULT = "default"


@app_commands.command(name="settings", description="Show or change how the bot behaves on this server")
@app_commands.describe(
    persona="Who the bot is on this server",
    language="Language of the bot's own notices",
    ratings="Whether replies carry rating buttons",
    open_channel="A channel where the bot answers everything",
    close_channel="A channel where the bot keeps silent",
    default_channel="A channel that is neither open nor closed any more",
    allow_role="A role that may talk to the bot; once there is one, only such roles may",
    disallow_role="A role to take from that list",
    safety_category="A safety category, together with safety_level",
    safety_level="How strict: off, low, medium or high",
    cooldown_s="Seconds between two messages of a person",
    person_per_minute="Messages a minute of one person on this server; 0: no limit",
    channel_per_minute="Messages a minute in one channel, of all people together; 0: no limit",
)
@app_commands.choices(
    language=[app_commands.Choice(name=name, value=name) for name in LANGUAGES],
    safety_level=[app_commands.Choice(name=name, value=name) for name in (*LEVELS, DEFAULT)],
)
@app_commands.default_permissions(manage_guild=True)
@app_commands.checks.has_permissions(manage_guild=True)
@app_commands.guild_only()
async def settings_command(
    interaction: discord.Interaction[Any],
    persona: str | None = None,
    language: app_commands.Choice[str] | None = None,
    ratings: bool | None = None,
    open_channel: discord.TextChannel | None = None,
    close_channel: discord.TextChannel | None = None,
    default_channel: discord.TextChannel | None = None,
    allow_role: discord.Role | None = None,
    disallow_role: discord.Role | None = None,
    safety_category: str | None = None,
    safety_level: app_commands.Choice[str] | None = None,
    cooldown_s: app_commands.Range[float, 0, 3600] | None = None,
    person_per_minute: app_commands.Range[int, 0, LARGEST_QUOTA] | None = None,
    channel_per_minute: app_commands.Range[int, 0, LARGEST_QUOTA] | None = None,
) -> None:
    """Show or change the server's settings."""
    from bot.doors.discord_commands import bot_of, start

    settings = await start(interaction)
    assert interaction.guild_id is not None
    changes: dict[str, Any] = {}
    if persona:
        changes["persona"] = None if persona == DEFAULT else _checked_persona(persona)
    if language:
        changes["language"] = language.value
    if ratings is not None:
        changes["ratings"] = ratings
    if cooldown_s is not None:
        changes["cooldown_s"] = cooldown_s
    if person_per_minute is not None:
        changes["person_per_minute"] = person_per_minute or None
    if channel_per_minute is not None:
        changes["channel_per_minute"] = channel_per_minute or None
    changes |= channel_changes(settings, *(c.id if c else None for c in (open_channel, close_channel, default_channel)))
    changes |= role_changes(
        settings, allow_role.id if allow_role else None, disallow_role.id if disallow_role else None
    )
    if safety_category:
        changes |= safety_changes(settings, safety_category, safety_level.value if safety_level else DEFAULT)
    if changes:
        settings = await bot_of(interaction).servers.change(interaction.guild_id, changes)
    reads_all = bot_of(interaction).home.manners.message_content
    await interaction.followup.send(shown(settings, reads_all=reads_all)[:LIMIT], ephemeral=True)


def _checked_persona(name: str) -> str:
    clean = name.removesuffix(".toml").replace("/", "_")
    load_persona(clean)
    return clean


def channel_changes(
    settings: ServerSettings, opened: int | None, closed: int | None, reset: int | None
) -> dict[str, list[int]]:
    """The lists of open and closed channels after a change; a channel is never in both."""
    if opened is closed is reset is None:
        return {}
    touched = {opened, closed, reset}
    now_open = [c for c in settings.open_channels if c not in touched] + ([opened] if opened else [])
    now_closed = [c for c in settings.closed_channels if c not in touched] + ([closed] if closed else [])
    return {"open_channels": now_open, "closed_channels": [c for c in now_closed if c not in now_open]}


def role_changes(settings: ServerSettings, allow: int | None, disallow: int | None) -> dict[str, list[int]]:
    """The list of roles after a change."""
    if allow is disallow is None:
        return {}
    return {"roles": [r for r in settings.roles if r not in (allow, disallow)] + ([allow] if allow else [])}


def safety_changes(settings: ServerSettings, category: str, level: str) -> dict[str, Mapping[str, str]]:
    """The safety levels after a change; UnknownName for a category that does not exist."""
    load_policy().with_levels({category: "medium" if level == DEFAULT else level})
    levels = {name: value for name, value in settings.safety.items() if name != category}
    return {"safety": levels if level == DEFAULT else {**levels, category: level}}


def shown(settings: ServerSettings, *, reads_all: bool = True) -> str:
    """The settings as lines; a word of warning where ``reads_all`` is false and a channel is open all the same."""

    def channels(ids: tuple[int, ...]) -> str:
        return " ".join(f"<#{number}>" for number in ids) or "–"

    rows = {
        "persona": settings.persona or DEFAULT,
        "language": settings.language,
        "ratings": "on" if settings.ratings else "off",
        "open channels": channels(settings.open_channels),
        "closed channels": channels(settings.closed_channels),
        "roles": " ".join(f"<@&{number}>" for number in settings.roles) or "everybody",
        "safety": ", ".join(f"{name} {level}" for name, level in settings.safety.items()) or DEFAULT,
        "cooldown": DEFAULT if settings.cooldown_s is None else f"{settings.cooldown_s:g} s",
        "a person, a minute": str(settings.person_per_minute or "no limit"),
        "a channel, a minute": str(settings.channel_per_minute or "no limit"),
    }
    warning = [] if reads_all or not settings.open_channels else [word("open_needs_intent", settings.language)]
    return "\n".join([*(f"**{name}**: {value}" for name, value in rows.items()), *warning])


@settings_command.autocomplete("persona")
async def persona_choices(interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
    """Cards whose names contain what was typed."""
    names = [name for name in (DEFAULT, *persona_names()) if current.lower() in name]
    return [app_commands.Choice(name=name, value=name) for name in names[:25]]


@settings_command.autocomplete("safety_category")
async def category_choices(interaction: discord.Interaction[Any], current: str) -> list[app_commands.Choice[str]]:
    """Safety categories that contain what was typed."""
    names = [name for name in sorted(load_policy().rules) if current.lower() in name]
    return [app_commands.Choice(name=name, value=name) for name in names[:25]]
