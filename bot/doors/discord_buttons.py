"""Rating buttons under a reply. Their ids carry everything, so they outlive a restart; consent comes first."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

import discord

from bot.doors.discord_words import sentence_for, word
from bot.exchange import Feedback
from dialogue.errors import ChinwagError
from dialogue.turns import PersonKey

if TYPE_CHECKING:
    from bot.doors.discord_client import ChinwagBot

log = logging.getLogger("chinwag.discord")
CONSENT = "rating_consent"
CHOICES: tuple[tuple[str, str, int], ...] = (
    ("good", "liked", 1),
    ("bad", "liked", 0),
    ("sensible", "sensible", 1),
    ("specific", "specific", 1),
)
"""Word on the button, label, value."""

_ID = r":(?P<label>[a-z]+):(?P<value>[01]):(?P<turn>[0-9]+)"
Item = discord.ui.DynamicItem[discord.ui.Button[Any]]


def rating_view(turn_id: int, language: str) -> discord.ui.View:
    """The row of buttons for one turn."""
    view = discord.ui.View(timeout=None)
    for name, label, value in CHOICES:
        view.add_item(Rate(label, value, turn_id, word(name, language)))
    return view


class Rate(Item, template="chinwag:rate" + _ID):
    """One button of the row."""

    def __init__(self, label: str, value: int, turn_id: int, text: str = "?") -> None:
        button: discord.ui.Button[Any] = discord.ui.Button(
            label=text, style=discord.ButtonStyle.secondary, custom_id=f"chinwag:rate:{label}:{value}:{turn_id}"
        )
        super().__init__(button)
        self.label, self.value, self.turn_id = label, value, turn_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Made again from its id alone."""
        return cls(match["label"], int(match["value"]), int(match["turn"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Store the rating, or first ask whether that may be done."""
        async with answering(interaction):
            await self._rate(interaction)

    async def _rate(self, interaction: discord.Interaction[Any]) -> None:
        bot: ChinwagBot = interaction.client
        person = PersonKey("discord", str(interaction.user.id))
        settings = await bot.servers.of(interaction.guild_id)
        if not settings.ratings:
            await interaction.followup.send(word("ratings_off", settings.language), ephemeral=True)
        elif await has_consented(bot, person):
            await store_rating(interaction, self.label, self.value, self.turn_id)
        else:
            view = discord.ui.View(timeout=None)
            view.add_item(AskConsent(self.label, self.value, self.turn_id, word("consent_yes", settings.language)))
            await interaction.followup.send(word("consent", settings.language), view=view, ephemeral=True)


class AskConsent(Item, template="chinwag:consent" + _ID):
    """The button that says yes to storing ratings, and stores the one that was meant."""

    def __init__(self, label: str, value: int, turn_id: int, text: str = "?") -> None:
        button: discord.ui.Button[Any] = discord.ui.Button(
            label=text, style=discord.ButtonStyle.primary, custom_id=f"chinwag:consent:{label}:{value}:{turn_id}"
        )
        super().__init__(button)
        self.label, self.value, self.turn_id = label, value, turn_id

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Made again from its id alone."""
        return cls(match["label"], int(match["value"]), int(match["turn"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Remember the consent with the person, so that /forget takes it back too."""
        bot: ChinwagBot = interaction.client
        async with answering(interaction):
            person = PersonKey("discord", str(interaction.user.id))
            await asyncio.to_thread(bot.home.store.put_settings, person, {CONSENT: True})
            await store_rating(interaction, self.label, self.value, self.turn_id)


async def has_consented(bot: ChinwagBot, person: PersonKey) -> bool:
    """Whether this person allowed ratings to be stored."""
    stored = await asyncio.to_thread(bot.home.store.settings, person)
    return bool(stored.get(CONSENT))


async def store_rating(interaction: discord.Interaction[Any], label: str, value: int, turn_id: int) -> None:
    """Store one rating and thank for it. UserError for an answer that was deleted meanwhile."""
    bot: ChinwagBot = interaction.client
    bot.home.form.check(label, value)
    person = PersonKey("discord", str(interaction.user.id))
    await bot.home.engine.feedback(Feedback(turn_id, person, label, value, bot.home.form.version))
    bot.count("rated")
    await interaction.followup.send(word("noted", bot.servers.language(interaction.guild_id)), ephemeral=True)


@asynccontextmanager
async def answering(interaction: discord.Interaction[Any]) -> AsyncIterator[None]:
    """Acknowledge at once; inside, a failure is told in a sentence, so that nobody looks at "thinking…" for ever."""
    bot: ChinwagBot = interaction.client
    try:
        await interaction.response.defer(ephemeral=True, thinking=True)
        yield
    except ChinwagError as error:
        log.warning("a button failed: %s", type(error).__name__)
        sentence = sentence_for(error, bot.servers.language(interaction.guild_id))
        with suppress(discord.HTTPException):
            await interaction.followup.send(sentence, ephemeral=True)
    except discord.HTTPException as error:
        log.warning("a button was answered too late: HTTP %s, code %s", error.status, error.code)
