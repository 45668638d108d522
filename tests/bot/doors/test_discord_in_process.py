"""The real client against a virtual Discord in this process (simcord): who is answered, and what the commands do."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from bot.doors.discord_lanes import LOOP_REPLIES
from bot.engine import ChatEngine
from bot.exchange import IncomingMessage, Reply
from dialogue.errors import StorageError
from dialogue.turns import Conversation, PersonKey
from safety.verdict import ALLOW
from tests.fakes import FakeGenerator, fake_engine

if TYPE_CHECKING:
    from bot.doors.discord_client import ChinwagBot

discord = pytest.importorskip("discord", reason="no discord.py: pip install 'chinwag[discord]'")
simcord = pytest.importorskip("simcord", reason="no simcord: pip install 'simcord[pytest]'")


@dataclass(slots=True)
class World:
    """A virtual Discord with one server, and the bot in it."""

    env: Any
    bot: ChinwagBot
    engine: ChatEngine
    generator: FakeGenerator
    server: Any
    channel: Any
    ana: Any

    @property
    def mention(self) -> str:
        assert self.bot.user is not None
        return f"<@{self.bot.user.id}>"

    def said(self, channel: Any = None) -> list[str]:
        """What the bot posted in a channel, oldest first."""
        me = self.bot.user
        assert me is not None
        return [m.content for m in (channel or self.channel).history() if m.author.id == me.id]


def say(conversation: Conversation) -> list[str]:
    """Names everything that the model got to read."""
    turns = [f"{turn.speaker or turn.role}: {turn.text}" for turn in conversation.turns]
    return [f"{len(turns)} turns, last {turns[-1]}", "And then?"]


@asynccontextmanager
async def a_world(*, message_content: bool = False) -> AsyncIterator[World]:
    """simcord's clock belongs to the task it is entered in: tests enter it themselves. Its time is not the model
    thread's, hence no deadline."""
    from bot.doors.discord_client import ChinwagBot
    from bot.doors.discord_home import Home, Manners

    generator = FakeGenerator(say)
    async with fake_engine(generator) as engine:
        bot = ChinwagBot(
            Home(engine, engine.store, Manners(timeout_s=1e9, cooldown_s=0.0, message_content=message_content))
        )
        async with simcord.run(bot, shard_count=1, settle_timeout=60.0) as env:
            server = env.create_guild()
            channel = server.create_text_channel("general")
            ana = server.add_member(env.create_user("ana"))
            yield World(env, bot, engine, generator, server, channel, ana)


async def test_only_messages_for_the_bot_are_answered_and_stored() -> None:
    async with a_world() as world:
        await world.ana.send(world.channel, "hello everybody")
        assert world.said() == [] and world.engine.store.record(1) is None
        await world.ana.send(world.channel, f"{world.mention} hello you")
        assert world.said() == ["1 turns, last ana: hello you"]


async def test_each_channel_has_its_own_talk_and_speakers_are_told_apart() -> None:
    async with a_world() as world:
        ben = world.server.add_member(world.env.create_user("ben"))
        other = world.server.create_text_channel("other")
        await world.ana.send(world.channel, f"{world.mention} one")
        await ben.send(world.channel, f"{world.mention} two")
        await ben.send(other, f"{world.mention} three")
        assert world.said()[-1] == "3 turns, last ben: two"
        assert world.said(other) == ["1 turns, last ben: three"]


async def test_direct_messages_need_no_mention() -> None:
    async with a_world() as world:
        await world.ana.send_dm("hello")
        assert world.said(world.ana.user.dm_channel) == ["1 turns, last user: hello"]


async def test_a_reply_brings_what_it_replies_to_where_the_bot_may_read_it() -> None:
    for allowed, speakers in ((True, ["ben", "ana"]), (False, ["ana"])):
        async with a_world(message_content=allowed) as world:
            ben = world.server.add_member(world.env.create_user("ben"))
            about = await ben.send(world.channel, "I have a parrot")
            await world.ana.send(world.channel, f"{world.mention} what do you think?", reply_to=about)
            talk = world.generator.admitted[-1].conversation
            assert [turn.speaker for turn in talk.turns] == speakers
            stored = world.engine.store.why(talk.key)
            assert stored is not None and "parrot" not in stored.heard.text


async def test_an_open_channel_needs_no_mention() -> None:
    async with a_world(message_content=True) as world:
        await world.bot.servers.change(world.server.id, {"open_channels": [world.channel.id]})
        await world.ana.send(world.channel, "no mention at all")
        assert world.said() == ["1 turns, last ana: no mention at all"]


async def test_bots_and_webhooks_are_ignored() -> None:
    async with a_world() as world:
        robot = world.server.add_member(world.env.create_user("robot", bot=True))
        await robot.send(world.channel, f"{world.mention} hello")
        hook = world.server.create_webhook(world.channel)
        await hook.send(f"{world.mention} hello")
        assert world.said() == []


async def test_nobody_is_ever_pinged() -> None:
    async with a_world() as world:
        world.generator.say = lambda conversation: ["Hello @everyone and <@1> and @here, long time"]
        await world.ana.send(world.channel, f"{world.mention} ping them")
        last = world.channel.last_message
        assert not last.mention_everyone and last.mentions == [] and "@everyone" not in last.content


async def test_long_replies_come_in_pieces_with_whole_fences() -> None:
    async with a_world() as world:
        code = "```py\n" + "".join(f"total_{n} = {n * 7919 % 1009} + total_{n - 1}\n" for n in range(1, 90)) + "```"
        world.generator.say = lambda conversation: [f"See: {code}"]
        world.engine.responder.safety.say = lambda turn, so_far: ALLOW  # type: ignore[method-assign]
        await world.ana.send(world.channel, f"{world.mention} show me")
        pieces = world.said()
        assert len(pieces) > 1 and all(len(piece) <= 2000 and piece.count("```") == 2 for piece in pieces)


async def test_chat_reset_persona_why_and_rate() -> None:
    async with a_world() as world:
        done = await world.ana.slash(world.channel, "chat", text="hello")
        assert done.acknowledged and not done.ephemeral and "1 turns, last ana: hello" in world.said()[-1]
        why = await world.ana.slash(world.channel, "why")
        assert why.ephemeral and "And then?" in why.response.content
        await world.ana.slash(world.channel, "rate", answer="good")
        assert [(given.label, given.value) for given in world.engine.store.ratings()] == [("liked", 1)]
        await world.ana.slash(world.channel, "persona", name="captain")
        await world.ana.slash(world.channel, "reset")
        await world.ana.slash(world.channel, "chat", text="again")
        assert "1 turns, last ana: again" in world.said()[-1]
        assert world.generator.admitted[-1].conversation.persona.name == "captain"
        offered = await world.ana.autocomplete(world.channel, "persona", "name", "cap")
        assert [choice["value"] for choice in offered] == ["captain"]
        wrong = await world.ana.slash(world.channel, "persona", name="../../secret.toml")
        assert "There is no persona" in wrong.followups[-1].content if wrong.followups else wrong.response.content


async def test_buttons_ask_for_consent_once_and_then_store() -> None:
    async with a_world() as world:
        await world.ana.send(world.channel, f"{world.mention} hello")
        message = world.channel.last_message
        asked = await world.ana.click(message, label="👍")
        assert asked.ephemeral and world.engine.store.ratings() == ()
        await world.ana.click(asked.response.message, label="Yes, store my ratings")
        await world.ana.click(message, label="Sensible?")
        stored = {(given.label, given.value, given.form) for given in world.engine.store.ratings()}
        assert stored == {("liked", 1, "door-1"), ("sensible", 1, "door-1")}
        await world.ana.slash(world.channel, "forget")
        assert (
            world.engine.store.ratings() == ()
            and world.engine.store.settings(PersonKey("discord", str(world.ana.id))) == {}
        )


async def test_people_can_see_and_delete_what_is_stored() -> None:
    async with a_world() as world:
        await world.ana.send(world.channel, f"{world.mention} remember my parrot")
        exported = await world.ana.slash(world.channel, "export")
        assert exported.ephemeral
        data = json.dumps(dict((await world.engine.export(PersonKey("discord", str(world.ana.id)))).data), default=str)
        assert "parrot" in data
        gone = await world.ana.slash(world.channel, "forget")
        assert gone.ephemeral and gone.response.content.startswith("Deleted: ")
        assert world.engine.store.record(1) is None
        for name in ("privacy", "help"):
            told = await world.ana.slash(world.channel, name)
            assert told.ephemeral and len(told.response.content) > 50


async def test_those_who_manage_the_server_choose_and_others_cannot() -> None:
    async with a_world() as world:
        boss_role = world.server.create_role("boss", permissions=discord.Permissions(manage_guild=True))
        boss = world.server.add_member(world.env.create_user("boss"), roles=[boss_role])
        shown = await boss.slash(
            world.channel, "settings", persona="captain", ratings=False, safety_category="offensive",
            safety_level="high", close_channel=world.channel,
        )  # fmt: skip
        assert "captain" in shown.response.content and "offensive high" in shown.response.content
        await world.ana.send(world.channel, f"{world.mention} hello")
        assert world.said() == []
        await boss.slash(world.channel, "settings", default_channel=world.channel)
        await world.ana.send(world.channel, f"{world.mention} hello")
        assert len(world.said()) == 1 and world.channel.last_message.components == []
        assert world.generator.admitted[-1].conversation.persona.name == "captain"
        stored = world.engine.store.settings(f"discord:server:{world.server.id}")
        assert stored["safety"] == {"offensive": "high"}


async def test_who_opens_a_channel_that_discord_does_not_show_is_told_so() -> None:
    for allowed in (True, False):
        async with a_world(message_content=allowed) as world:
            boss_role = world.server.create_role("boss", permissions=discord.Permissions(manage_guild=True))
            boss = world.server.add_member(world.env.create_user("boss"), roles=[boss_role])
            shown = await boss.slash(world.channel, "settings", open_channel=world.channel)
            assert ("CHINWAG_DISCORD_MESSAGE_CONTENT" in shown.response.content) is not allowed


async def test_what_was_asked_by_command_cannot_swallow_the_answer_in_a_fence() -> None:
    async with a_world() as world:
        done = await world.ana.slash(world.channel, "chat", text="look: ``` and ~~this~~")
        quoted, answer = done.response.content.split("\n", 1)
        assert quoted.startswith("> ") and "```" not in quoted and answer.startswith("1 turns, last ana: look: ```")


async def test_limits_per_person_and_per_channel_are_stored_and_hold_for_messages_and_chat() -> None:
    async with a_world() as world:
        boss_role = world.server.create_role("boss", permissions=discord.Permissions(manage_guild=True))
        boss = world.server.add_member(world.env.create_user("boss"), roles=[boss_role])
        ben = world.server.add_member(world.env.create_user("ben"))
        shown = await boss.slash(world.channel, "settings", person_per_minute=2, channel_per_minute=3)
        assert "a person, a minute**: 2" in shown.response.content and "minute**: 3" in shown.response.content
        stored = world.engine.store.settings(f"discord:server:{world.server.id}")
        assert (stored["person_per_minute"], stored["channel_per_minute"]) == (2, 3)
        for number in range(3):
            await world.ana.send(world.channel, f"{world.mention} message {number}")
        assert "One thing at a time" in world.said()[-1] and len(world.generator.admitted) == 2
        await ben.send(world.channel, f"{world.mention} and I?")
        assert len(world.generator.admitted) == 3
        told = await ben.slash(world.channel, "chat", text="And now?")
        assert "this minute" in told.response.content and len(world.generator.admitted) == 3
        elsewhere = world.server.create_text_channel("elsewhere")
        await ben.send(elsewhere, f"{world.mention} here then")
        assert len(world.generator.admitted) == 4
        shown = await boss.slash(world.channel, "settings", person_per_minute=0, channel_per_minute=0)
        assert shown.response.content.count("no limit") == 2
        await world.ana.send(world.channel, f"{world.mention} again")
        assert len(world.generator.admitted) == 5


async def test_leaving_a_server_deletes_its_talk_and_settings_and_no_others() -> None:
    async with a_world() as world:
        await world.ana.send(world.channel, f"{world.mention} hello")
        await world.ana.send_dm("hello there")
        await world.bot.servers.change(world.server.id, {"language": "ko"})
        guild = world.bot.get_guild(world.server.id)
        assert guild is not None
        await world.bot.on_guild_remove(guild)
        assert world.engine.store.record(1) is None and world.engine.store.record(3) is not None
        assert world.engine.store.settings(f"discord:server:{world.server.id}") == {}


async def test_who_removes_the_bot_while_it_answers_leaves_nothing_behind() -> None:
    async with a_world() as world:
        guild = world.bot.get_guild(world.server.id)
        assert guild is not None
        answer = world.engine.reply

        async def removed_meanwhile(message: IncomingMessage) -> Reply:
            world.bot._connection._remove_guild(guild)
            await world.bot.on_guild_remove(guild)
            return await answer(message)

        world.engine.reply = removed_meanwhile  # type: ignore[method-assign]
        await world.ana.send(world.channel, f"{world.mention} hello")
        assert len(world.generator.admitted) == 1 and world.said() == []
        assert world.engine.store.record(1) is None


async def test_a_reply_that_fails_is_a_kind_word_and_no_traceback() -> None:
    async with a_world() as world:

        def broken(*args: object, **options: object) -> object:
            from dialogue.errors import StorageError

            raise StorageError("disk /secret/path is full")

        world.engine.store.append = broken  # type: ignore[method-assign, assignment]
        await world.ana.send(world.channel, f"{world.mention} hello")
        assert len(world.said()) == 1 and "secret" not in world.said()[0] and "try again" in world.said()[0]


async def test_a_bug_is_a_kind_word_too_and_the_log_has_its_place_but_no_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with a_world() as world:
        words = f"my {'secret'} diary"

        def broken(*args: object, **options: object) -> object:
            raise ValueError(f"cannot handle: {words}")

        world.engine.store.append = broken  # type: ignore[method-assign, assignment]
        await world.ana.send(world.channel, f"{world.mention} {words}")
        assert len(world.said()) == 1 and "try again" in world.said()[0]
    assert "ValueError" in caplog.text and "in broken" in caplog.text and words not in caplog.text


async def test_while_the_history_is_out_of_reach_only_those_who_spoke_to_the_bot_are_told() -> None:
    async with a_world(message_content=True) as world:

        def gone(scope: object) -> object:
            raise StorageError("no route to 10.0.0.7")

        world.engine.store.settings = gone  # type: ignore[method-assign, assignment]
        await world.ana.send(world.channel, "hello everybody")
        assert world.said() == []
        await world.ana.send(world.channel, f"{world.mention} hello you")
        assert len(world.said()) == 1 and "try again" in world.said()[0] and "10.0.0.7" not in world.said()[0]
        assert world.generator.admitted == []


async def test_a_button_that_cannot_store_says_so() -> None:
    async with a_world() as world:
        await world.ana.send(world.channel, f"{world.mention} hello")
        message = world.channel.last_message
        asked = await world.ana.click(message, label="👍")

        def full(*args: object) -> None:
            raise StorageError("disk /secret/path is full")

        world.engine.store.put_settings = full  # type: ignore[method-assign, assignment]
        told = await world.ana.click(asked.response.message, label="Yes, store my ratings")
        assert told.ephemeral and "try again" in told.response.content and world.engine.store.ratings() == ()


async def test_something_that_answers_every_word_is_left_to_itself() -> None:
    async with a_world() as world:
        for number in range(60):
            await world.ana.send(world.channel, f"{world.mention} and {number}?")
        said = world.said()
        assert len(said) == LOOP_REPLIES + 1 and "One thing at a time" in said[-1]
        assert len(world.generator.admitted) == LOOP_REPLIES


async def test_where_the_bot_is_closed_to_somebody_they_cannot_reset_it_or_change_who_it_is() -> None:
    async with a_world() as world:
        await world.ana.send(world.channel, f"{world.mention} hello")
        friends = world.server.create_role("friends")
        await world.bot.servers.change(world.server.id, {"roles": [friends.id]})
        for command, options in (("reset", {}), ("persona", {"name": "captain"})):
            told = await world.ana.slash(world.channel, command, **options)
            assert "certain roles" in told.response.content
        key = world.generator.admitted[-1].conversation.key
        stored = world.engine.store.load(key, last=9)
        assert len(stored.turns) == 2 and stored.persona is None


async def test_why_does_not_show_what_safety_kept_from_being_said() -> None:
    async with a_world() as world:
        world.generator.say = lambda conversation: ["You are a fucking idiot.", "Tell me more."]
        await world.ana.send(world.channel, f"{world.mention} hello")
        why = (await world.ana.slash(world.channel, "why")).response.content
        assert "idiot" not in why and "dropped: safety" in why and "Tell me more" in why


async def test_the_metrics_of_a_bot_with_an_engine_of_its_own_tell_of_both() -> None:
    pytest.importorskip("prometheus_client")
    from bot.doors.discord_run import metrics_text
    from bot.doors.metrics import Metrics

    async with a_world() as world:
        world.bot.home.metrics = Metrics()
        world.bot.home.metrics.watch(world.engine.responder)
        await world.ana.send(world.channel, f"{world.mention} hello")
        await world.ana.slash(world.channel, "chat", text="hello")
        text = metrics_text(world.bot)
    assert 'chinwag_discord_messages_total{kind="answered"} 2' in text
    assert 'chinwag_replies_total{door="discord",source="model"} 2.0' in text and "chinwag_queue_waiting" in text
