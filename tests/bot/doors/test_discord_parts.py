"""The parts of the Discord door that know nothing of Discord: splitting, lanes, cooldown, loop guard."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("discord", reason="no discord.py: pip install 'chinwag[discord]'")

from bot.doors.discord_lanes import LOOP_REPLIES, Cooldown, LaneFull, Lanes, LoopGuard, Quota, Recent
from bot.doors.discord_render import split_message, without_mentions
from bot.doors.discord_run import shards_of_this_process
from bot.doors.discord_server import Servers
from bot.doors.discord_words import _WORDS, LANGUAGES, sentence_for
from bot.history.memory_store import MemoryStore
from bot.history.store import Scope
from bot.remote import KeyRefused
from bot.settings import load_settings
from dialogue.errors import ChinwagError, DeadlineExceeded, StorageError, UserError

texts = st.lists(
    st.one_of(st.text(max_size=60), st.sampled_from(["```py\n", "```\n", "\n\n", "word " * 30, "x" * 120, "끝. "])),
    max_size=40,
).map("".join)


@given(texts, st.integers(60, 200))
def test_pieces_are_short_and_lose_no_word(text: str, limit: int) -> None:
    pieces = split_message(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)

    def letters(words: str) -> str:
        return re.sub(r"\s|`", "", words)

    said = iter(letters("".join(pieces)))  # a fence that is opened again repeats its language, nothing else
    assert all(letter in said for letter in letters(text))
    if "```" not in text:
        assert letters("".join(pieces)) == letters(text)


def test_a_fence_that_is_cut_is_closed_and_opened_again_with_its_language() -> None:
    first, *others = split_message("Look:\n```python\n" + "x = 1\n" * 40 + "```\nDone.", 120)
    assert first.endswith("\n```") and others[0].startswith("```python\n")
    assert all(piece.count("```") % 2 == 0 for piece in (first, *others))


def test_crowd_mentions_are_defused() -> None:
    assert "@everyone" not in without_mentions("hi @everyone @here") and "here" in without_mentions("@here")


async def test_a_lane_keeps_the_order_and_refuses_when_full() -> None:
    lanes, order = Lanes(longest=3), []

    async def walk(number: int) -> None:
        async with lanes.turn(7):
            await asyncio.sleep(0.001)
            order.append(number)

    tasks = [asyncio.create_task(walk(number)) for number in range(4)]
    await asyncio.sleep(0)
    with pytest.raises(LaneFull):
        await walk(99)
    async with lanes.turn(8):
        pass
    assert not await lanes.idle(0.0001)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3] and await lanes.idle(60.0)


async def test_the_bot_is_idle_only_when_what_waits_outside_the_lanes_is_done_too() -> None:
    lanes = Lanes(longest=3)
    with lanes.under_way():
        async with lanes.turn(7):
            pass
        assert not await lanes.idle(0.0001)
    assert await lanes.idle(60.0)


def test_recent_ids_are_new_once() -> None:
    recent = Recent(size=2)
    assert [recent.is_new(n) for n in (1, 1, 2, 3, 1)] == [True, False, True, True, True]


def test_the_cooldown_uses_the_clock() -> None:
    now = [0.0]
    cooldown = Cooldown(lambda: now[0])
    assert cooldown.allows(1, 2.0) and not cooldown.allows(1, 2.0) and cooldown.allows(2, 2.0)
    now[0] = 2.0
    assert cooldown.allows(1, 2.0)


def test_a_sentence_of_the_bots_own_is_an_echo_and_a_short_word_is_not() -> None:
    guard = LoopGuard(lambda: 0.0)
    guard.said(5, 1, "hello there, how have you been?")
    assert not guard.allows(5, 2, "hello there, how have you been? ") and not guard.says_so(5, 2)
    assert guard.allows(5, 2, "something else") and guard.allows(6, 2, "hello there, how have you been?")
    guard.said(5, 1, "haha")
    assert guard.allows(5, 1, "haha")


def test_who_gets_no_end_of_words_is_told_once_and_then_met_with_a_minute_of_silence() -> None:
    now = [0.0]
    guard = LoopGuard(lambda: now[0])
    for _ in range(LOOP_REPLIES):
        assert guard.allows(5, 1, "more")
        guard.said(5, 1, "x")
        now[0] += 1.0
    assert not guard.allows(5, 1, "more") and guard.allows(5, 2, "more") and guard.allows(6, 1, "more")
    assert guard.says_so(5, 1) and not guard.says_so(5, 1)
    guard.said(5, 1, "One thing at a time")
    now[0] += 58.0
    assert not guard.allows(5, 1, "more")
    now[0] += 2.0
    assert guard.allows(5, 1, "more")


def test_an_unhurried_talk_never_ends_in_silence() -> None:
    now = [0.0]
    guard = LoopGuard(lambda: now[0])
    for _ in range(10 * LOOP_REPLIES):
        assert guard.allows(5, 1, "more")
        guard.said(5, 1, "x")
        now[0] += 2.1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (KeyRefused("The engine refuses the key in CHINWAG_API_KEY"), "Something went wrong"),
        (StorageError("disk /secret/path is full"), "Something went wrong"),
        (DeadlineExceeded("turnstile"), "still answering others"),
        (UserError("Your message has 9,000 characters"), "9,000"),
    ],
)
def test_people_are_told_what_they_can_put_right_and_nothing_of_the_machine(error: ChinwagError, told: str) -> None:
    assert told in sentence_for(error, "en")
    if not isinstance(error, UserError):
        assert sentence_for(error, "ko") != sentence_for(error, "en")


def test_a_process_holds_the_shards_that_it_is_given() -> None:
    def shards(ids: str, of: int) -> tuple[int, ...] | None:
        return shards_of_this_process(load_settings(discord_shard_ids=ids, discord_shards=of))

    assert shards("", 0) is None and shards("0-2, 5", 6) == (0, 1, 2, 5)
    for ids, of in (("0-3", 3), ("0", 0), ("one", 4), ("3-1", 4), ("-1", 4)):
        with pytest.raises(UserError, match="CHINWAG_DISCORD_SHARDS"):
            shards(ids, of)


def test_a_quota_is_a_minute_long_slides_and_counts_what_was_let_in_only() -> None:
    now = [0.0]
    quota, ana, ben = Quota(lambda: now[0]), ("person", 1, 5), ("person", 1, 6)
    for second in (0.0, 20.0):
        now[0] = second
        assert quota.has_room(ana, 2)
        quota.take(ana)
    assert not quota.has_room(ana, 2) and quota.has_room(ana, 3) and quota.has_room(ana, None)
    assert quota.has_room(ben, 2)
    now[0] = 61.0  # the first is older than a minute, the second is not
    assert quota.has_room(ana, 2)
    quota.take(ana)
    assert not quota.has_room(ana, 2)


def test_every_word_exists_in_every_language() -> None:
    assert all(set(forms) == set(LANGUAGES) for forms in _WORDS.values())


async def test_who_asks_for_a_servers_settings_later_never_gets_them_earlier() -> None:
    class Slow(MemoryStore):
        def settings(self, scope: Scope) -> Mapping[str, Any]:
            time.sleep(0.01)
            return super().settings(scope)

    servers, order = Servers(Slow()), list[int]()

    async def ask(number: int) -> None:
        await servers.of(5)
        order.append(number)

    tasks: list[asyncio.Task[None]] = []
    while len(tasks) < 3 or not tasks[0].done():
        tasks.append(asyncio.create_task(ask(len(tasks))))
        await asyncio.sleep(0)  # one comes at every step of the loop, also just when the settings have been read
    await asyncio.gather(*tasks)
    assert order == list(range(len(tasks)))
