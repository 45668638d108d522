"""``chinwag discord`` as a separate process against a Discord of our own over real sockets."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

pytest.importorskip("discord", reason="no discord.py: pip install 'chinwag[discord]'")

from bot.doors.discord_server import scope_of
from dialogue.turns import ConversationKey
from tests.fakes import FakeGenerator, holding
from tests.integration.bot_process import World, a_world
from tests.integration.fake_discord import APP_ID, CONTENT_INTENT, FakeDiscord, fake_discord
from tests.ports import lasting_port

pytestmark = pytest.mark.slow
GUILD, ROOM, DM, ANA, BEN = 1 << 22, 50, 60, 11, 12


def furnish(discord: FakeDiscord) -> None:
    discord.add_guild(GUILD, ROOM, ROOM + 1)
    discord.channels[DM] = {"id": str(DM), "type": 1, "recipients": [], "last_message_id": None}


@asynccontextmanager
async def world_with_bot(folder: Path, generator: FakeGenerator | None = None, **settings: str) -> AsyncIterator[World]:
    async with fake_discord() as discord:
        furnish(discord)
        async with a_world(folder, discord, generator) as world, world.bot(**settings) as bot:
            await world.ready()
            yield world
            assert await bot.stop() == 0, bot.said
            assert "Traceback" not in bot.said and discord.broken_rules == []


async def test_mentions_replies_and_direct_messages_are_answered_in_their_place(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        discord = world.discord
        await discord.says(ROOM, ANA, "not for the bot", to_bot=False)
        first = await discord.says(ROOM, ANA, "hello")
        await discord.until(lambda: discord.posted[ROOM])
        assert discord.bot_said(ROOM) == ["You said: hello (1)"]
        assert discord.posted[ROOM][0]["message_reference"]["message_id"] == str(first)
        await discord.until(lambda: ROOM in discord.typing)
        await discord.says(ROOM, BEN, "and me", to_bot=False, reply_to=int(discord.posted[ROOM][0]["id"]))
        await discord.says(DM, ANA, "in private")
        await discord.until(lambda: len(discord.posted[ROOM]) == 2 and discord.posted[DM])
        assert discord.bot_said(ROOM)[1] == "You said: and me (3)"
        assert discord.bot_said(DM) == ["You said: in private (1)"]
        talk = max((request.conversation for request in world.api.generator.admitted), key=lambda c: len(c.turns))
        speakers = {turn.speaker for turn in talk.turns if turn.speaker}
        assert speakers == {"Person 11", "Person 12"}


async def test_a_thread_is_a_talk_of_its_own_and_needs_no_mention_once_the_bot_is_in_it(tmp_path: Path) -> None:
    """The bot joins a thread by being mentioned in it; Discord then shows it as a member. Words without a mention
    reach it with the message content intent only."""
    async with world_with_bot(tmp_path, DISCORD_MESSAGE_CONTENT="true") as world:
        discord = world.discord
        await discord.says(ROOM, ANA, "in the channel")
        await discord.until(lambda: discord.posted[ROOM])
        thread, alien = ROOM + 7, ROOM + 8
        await discord.open_thread(thread, ROOM, with_bot=False)
        await discord.open_thread(alien, ROOM, with_bot=False)
        await discord.says(thread, ANA, "hello in here")
        await discord.until(lambda: discord.posted[thread])
        assert discord.bot_said(thread) == ["You said: hello in here (1)"]  # nothing of the channel's talk
        await discord.add_bot_to_thread(thread, ROOM)
        await discord.says(alien, ANA, "not meant for the bot", to_bot=False)
        await discord.says(thread, BEN, "and me without a mention", to_bot=False)
        await discord.until(lambda: len(discord.posted[thread]) == 2)
        assert discord.bot_said(thread)[1] == "You said: and me without a mention (3)"
        assert discord.bot_said(alien) == []
        await discord.says(ROOM, ANA, "back in the channel")
        await discord.until(lambda: len(discord.posted[ROOM]) == 2)
        assert discord.bot_said(ROOM)[1] == "You said: back in the channel (3)"
        turns = world.store.load(ConversationKey("discord", f"server:{GUILD}/{thread}"), last=10).turns
        assert [turn.speaker for turn in turns] == ["Person 11", None, "Person 12", None]


async def test_a_closed_channel_closes_its_threads_too(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        discord = world.discord
        world.store.put_settings(f"discord:server:{GUILD}", {"closed_channels": [ROOM]})
        await discord.open_thread(ROOM + 7, ROOM, with_bot=True)
        await discord.says(ROOM + 7, ANA, "anybody?")
        await discord.says(ROOM + 1, ANA, "here?")
        await discord.until(lambda: discord.posted[ROOM + 1])
        assert discord.bot_said(ROOM + 7) == []


async def test_commands_and_buttons_work_and_outlive_a_restart(tmp_path: Path) -> None:
    async with fake_discord() as discord:
        furnish(discord)
        thinking = holding()
        async with a_world(tmp_path, discord, thinking) as world:
            async with world.bot() as bot:
                await world.ready()
                number, token = await discord.command(ROOM, ANA, "chat", text="hello")
                await discord.until(lambda: discord.callbacks[number] and thinking.live)
                assert discord.callbacks[number][0]["type"] == 5 and not discord.followups[token]
                thinking.let_go()
                await discord.until(lambda: discord.followups[token])
                assert "You said: hello (1)" in discord.followups[token][0]["content"]
                assert await bot.stop() == 0
            async with world.bot():
                await world.ready()
                assert discord.syncs == 1  # nothing changed, so nothing was registered again
                buttons = discord.followups[token][0]["components"][0]["components"]
                pressed, answer = await discord.press(
                    int(discord.followups[token][0]["id"]), ANA, buttons[0]["custom_id"]
                )
                await discord.until(lambda: discord.followups[answer])
                consent = discord.followups[answer][0]["components"][0]["components"][0]["custom_id"]
                assert world.store.ratings() == () and discord.callbacks[pressed][0]["data"]["flags"] == 64
                _, thanks = await discord.press(int(discord.followups[answer][0]["id"]), ANA, consent)
                await discord.until(lambda: discord.followups[thanks])
                assert [(given.label, given.value) for given in world.store.ratings()] == [("liked", 1)]
        assert discord.broken_rules == []


async def test_a_missed_message_is_replayed_and_nothing_is_answered_twice(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        discord = world.discord
        await discord.says(ROOM, ANA, "one")
        await discord.until(lambda: len(discord.posted[ROOM]) == 1)
        await discord.hang_up(4000)
        await discord.says(ROOM, ANA, "while you were away")
        await discord.until(lambda: len(discord.posted[ROOM]) == 2)
        assert len(discord.resumes) == 1
        await discord.ask_to_reconnect()
        await discord.until(lambda: len(discord.resumes) == 2 and discord.connected())
        await discord.says(ROOM, ANA, "three")
        await discord.until(lambda: len(discord.posted[ROOM]) == 3)
        answered = [message["message_reference"]["message_id"] for message in discord.posted[ROOM]]
        assert len(set(answered)) == 3


async def test_an_invalid_session_begins_a_new_one(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        discord = world.discord
        (session,) = discord.connected()
        socket = session.socket
        discord.sessions.clear()
        assert socket is not None
        await socket.close(code=4000)
        await discord.until(lambda: len(discord.identifies) == 2 and discord.connected())
        await discord.says(ROOM, ANA, "hello again")
        await discord.until(lambda: discord.posted[ROOM])


async def test_rate_limits_are_waited_out_and_the_order_kept(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        discord = world.discord
        discord.limit_next = 3
        for number in range(4):
            await discord.says(ROOM, ANA, f"message {number}")
        await discord.until(lambda: len(discord.posted[ROOM]) == 4)
        assert discord.limited == 3
        assert [said.split(" (")[0] for said in discord.bot_said(ROOM)] == [f"You said: message {n}" for n in range(4)]


async def test_an_answer_comes_also_where_the_typing_indicator_cannot_be_shown(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        world.discord.typing_fails = True
        await world.discord.says(ROOM, ANA, "hello")
        await world.discord.until(lambda: world.discord.posted[ROOM])
        assert world.discord.bot_said(ROOM) == ["You said: hello (1)"] and world.discord.typing == []


async def test_a_full_channel_is_refused_kindly_and_every_message_has_one_answer(tmp_path: Path) -> None:
    slow = holding()
    async with world_with_bot(tmp_path, slow, DISCORD_CHANNEL_QUEUE="2") as world:
        asked = [await world.discord.says(ROOM, ANA + n, f"message {n}") for n in range(6)]
        await world.discord.until(lambda: len(world.discord.posted[ROOM]) == 3)
        slow.let_go()
        await world.discord.until(lambda: len(world.discord.posted[ROOM]) == 6)
        answered = [int(m["message_reference"]["message_id"]) for m in world.discord.posted[ROOM]]
        assert sorted(answered) == asked
        refused = [said for said in world.discord.bot_said(ROOM) if "still answering" in said]
        assert len(refused) == 3


async def test_the_heartbeat_goes_on_while_the_model_thinks(tmp_path: Path) -> None:
    slow = holding()
    async with world_with_bot(tmp_path, slow) as world:
        await world.discord.says(ROOM, ANA, "hello")
        await world.discord.until(lambda: slow.live)
        before = len(world.discord.heartbeats)
        await world.discord.until(lambda: len(world.discord.heartbeats) >= before + 2)
        slow.let_go()
        await world.discord.until(lambda: world.discord.posted[ROOM])


async def test_an_interaction_answered_too_late_is_survived(tmp_path: Path) -> None:
    async with world_with_bot(tmp_path) as world:
        discord = world.discord
        await discord.until(lambda: discord.commands)
        _, token = await discord.command(ROOM, ANA, "help")
        await discord.until(lambda: discord.followups[token])
        real, discord.interactions = discord.interactions, {}

        class Old(dict[str, float]):
            def __setitem__(self, key: str, value: float) -> None:
                super().__setitem__(key, value - 1000)

        discord.interactions = Old(real)
        late, late_token = await discord.command(ROOM, ANA, "help")
        await discord.until(lambda: discord.too_late == [late])
        await discord.says(DM, ANA, "still there?")
        await discord.until(lambda: discord.posted[DM])
        assert not discord.callbacks[late] and not discord.followups[late_token]


async def test_two_shards_share_the_servers(tmp_path: Path) -> None:
    other = 3 << 22  # (3 << 22) >> 22 = 3, which is shard 1 of 2; GUILD is shard 1 as well, so add an even one
    even = 2 << 22
    async with fake_discord(shards=2) as discord:
        furnish(discord)
        discord.add_guild(other, 70)
        discord.add_guild(even, 80)
        async with a_world(tmp_path, discord) as world, world.bot() as bot:
            await world.ready(shards=2)
            for room in (ROOM, 70, 80):
                await discord.says(room, ANA, f"room {room}")
            await discord.until(lambda: all(discord.posted[room] for room in (ROOM, 70, 80)))
            assert {session.shard for session in discord.connected()} == {(0, 2), (1, 2)}
            assert await bot.stop() == 0


async def test_a_process_holds_its_shards_only_and_leaves_the_others_to_their_own(tmp_path: Path) -> None:
    even = 2 << 22
    async with fake_discord(shards=2) as discord:
        furnish(discord)
        discord.add_guild(even, 80)
        async with a_world(tmp_path, discord) as world:
            world.store.put_settings(f"discord:app:{APP_ID}:servers", {str(GUILD): True, str(4 << 22): True})
            world.store.put_settings(scope_of(4 << 22), {"language": "ko"})
            world.store.put_settings(scope_of(GUILD), {"language": "ko"})
            async with world.bot(DISCORD_SHARDS="2", DISCORD_SHARD_IDS="0") as bot:
                await world.ready()
                await discord.says(80, ANA, "hello")
                await discord.until(lambda: discord.posted[80])
                assert [session.shard for session in discord.connected()] == [(0, 2)]
                await discord.until(lambda: not world.store.settings(scope_of(4 << 22)))
                assert world.store.settings(scope_of(GUILD)) == {"language": "ko"}
                assert await bot.stop() == 0, bot.said


async def test_a_server_that_was_left_while_the_bot_was_stopped_is_deleted_at_the_next_start(tmp_path: Path) -> None:
    async with fake_discord() as discord:
        furnish(discord)
        discord.add_guild(GUILD + 1, 70)
        room = ConversationKey("discord", f"server:{GUILD}/{ROOM}")
        other = ConversationKey("discord", f"server:{GUILD + 1}/70")
        async with a_world(tmp_path, discord) as world:
            async with world.bot():
                await world.ready()
                for place in (ROOM, 70):
                    await discord.says(place, ANA, "hello")
                await discord.until(lambda: discord.posted[ROOM] and discord.posted[70])
                noted = f"discord:app:{APP_ID}:servers"
                await discord.until(lambda: set(world.store.settings(noted)) == {str(GUILD), str(GUILD + 1)})
            assert world.store.load(room, last=9).turns and world.store.load(other, last=9).turns
            del discord.guilds[GUILD]
            async with world.bot():
                await discord.until(lambda: set(world.store.settings(noted)) == {str(GUILD + 1)})
            assert not world.store.load(room, last=9).turns and world.store.load(other, last=9).turns


async def test_the_health_page_tells_a_lost_connection_and_that_it_is_back(tmp_path: Path) -> None:
    port = lasting_port()

    async def status() -> int:
        with suppress(httpx.HTTPError):
            return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code
        return 0

    async def becomes(wanted: int) -> None:
        async with asyncio.timeout(120):
            while await status() != wanted:  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0.05)

    async with fake_discord() as discord, a_world(tmp_path, discord) as world, httpx.AsyncClient() as client:
        furnish(discord)
        async with world.bot(DISCORD_HEALTH_PORT=str(port)):
            await becomes(200)
            assert "chinwag_discord_servers 1" in (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            discord.gateway_down = True
            await discord.hang_up(4000)
            await becomes(503)
            assert (await client.get(f"http://127.0.0.1:{port}/health/live")).status_code == 200
            discord.gateway_down = False
            await becomes(200)


async def test_without_a_network_the_start_ends_with_one_clear_sentence(tmp_path: Path) -> None:
    async with fake_discord() as discord, a_world(tmp_path, discord) as world:
        bot = await world.start(DISCORD_API_URL="http://127.0.0.1:9")
        async with asyncio.timeout(200):
            assert await bot.process.wait() == 1
        assert "cannot be reached" in bot.said.strip().splitlines()[-1] and "Traceback" not in bot.said


async def test_stopping_finishes_what_is_under_way_and_refuses_what_waits(tmp_path: Path) -> None:
    async with fake_discord() as discord:
        furnish(discord)
        thinking = holding()
        async with a_world(tmp_path, discord, thinking) as world, world.bot() as bot:
            await world.ready()
            await discord.says(ROOM, ANA, "one last thing")
            await discord.until(lambda: thinking.live)
            waiting = [await discord.says(ROOM, person, "and this") for person in (BEN, BEN + 1)]
            await discord.says(ROOM + 1, ANA, "the bot has read all before this")
            await discord.until(lambda: len(thinking.live) == 2)
            stopping = asyncio.create_task(bot.stop())
            await discord.until(lambda: "Stopping" in bot.said)
            thinking.let_go()
            assert await stopping == 0
            first, *others = discord.posted[ROOM]
            assert first["content"] == "You said: one last thing (1)" and len(discord.posted[ROOM + 1]) == 1
            assert [int(each["message_reference"]["message_id"]) for each in others] == waiting
            assert all("restarting" in each["content"] for each in others)


async def test_a_bot_that_is_killed_goes_on_where_it_was_and_says_nothing_twice(tmp_path: Path) -> None:
    async with fake_discord() as discord:
        furnish(discord)
        async with a_world(tmp_path, discord) as world:
            killed = await world.start()
            await world.ready()
            await discord.says(ROOM, ANA, "before")
            await discord.until(lambda: discord.posted[ROOM])
            await killed.stop(signal.SIGKILL)
            await discord.until(lambda: not discord.connected())
            async with world.bot():
                await world.ready()
                await discord.says(ROOM, ANA, "after")
                await discord.until(lambda: len(discord.posted[ROOM]) == 2)
            assert discord.bot_said(ROOM) == ["You said: before (1)", "You said: after (3)"]
            assert discord.syncs == 1 and discord.broken_rules == []


async def test_no_privileged_intent_is_asked_for_unless_set(tmp_path: Path) -> None:
    async with fake_discord(allow_content=False) as discord:
        furnish(discord)
        async with a_world(tmp_path, discord) as world:
            async with world.bot() as bot:
                await world.ready()
                assert discord.identifies[0]["intents"] & CONTENT_INTENT == 0
                assert "permissions=" in bot.said and "scope=bot" in bot.said
            refused = await world.start(DISCORD_MESSAGE_CONTENT="true")
            async with asyncio.timeout(200):
                assert await refused.process.wait() == 1
            assert "developer portal" in refused.said and "Traceback" not in refused.said


@pytest.mark.parametrize(("token", "sentence"), [("wrong", "does not accept"), ("", "Set CHINWAG_DISCORD_TOKEN")])
async def test_a_bad_or_missing_token_is_one_clear_sentence(tmp_path: Path, token: str, sentence: str) -> None:
    async with fake_discord() as discord, a_world(tmp_path, discord) as world:
        bot = await world.start(DISCORD_TOKEN=token)
        async with asyncio.timeout(200):
            assert await bot.process.wait() == 1
        last = bot.said.strip().splitlines()[-1]
        assert sentence in last and "Traceback" not in bot.said
