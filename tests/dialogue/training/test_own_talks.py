"""The project's own talks: well formed, varied, and spoken by a bot that has the name of its persona."""

from __future__ import annotations

from collections import Counter

import pytest

from dialogue.errors import UserError
from dialogue.training.own_talks import FOLDERS, REPLIES, own_talks, parse_talks

TALKS = [talk for source in FOLDERS for talk in own_talks(source)]
BY_BOT = [talk for talk in TALKS if talk.turns[0][0] == "B"]
SAID = [text for talk in TALKS for speaker, text in talk.turns if speaker == "B"]


def test_every_talk_alternates_ends_with_the_bot_and_has_no_gap_left() -> None:
    assert len(TALKS) > 300
    for talk in TALKS:
        assert [speaker for speaker, _ in talk.turns] == (["A", "B"] * len(talk.turns))[-len(talk.turns) :]
        assert all(text and "{" not in text for _, text in talk.turns)


def test_replies_are_short_and_hardly_one_is_said_twice() -> None:
    assert max(len(reply.split()) for reply in SAID) <= 45
    assert len(set(SAID)) > 0.97 * len(SAID)


def test_no_beginning_is_a_habit() -> None:
    beginnings = Counter(" ".join(reply.split()[:3]).lower() for reply in SAID)
    assert beginnings.most_common(1)[0][1] < 0.03 * len(SAID)


def test_the_same_seed_gives_the_same_personas() -> None:
    assert list(own_talks(seed=3)) == list(own_talks(seed=3)) != list(own_talks(seed=4))


def test_a_talk_that_the_bot_begins_has_a_persona_so_that_its_sides_are_kept() -> None:
    assert BY_BOT and all(talk.source == REPLIES and talk.persona for talk in BY_BOT)


def test_most_talks_have_a_persona_and_some_have_none() -> None:
    bare = sum(not talk.persona for talk in TALKS)
    assert 0 < bare < len(TALKS) / 4


@pytest.mark.parametrize("text", ["B: hello", "U: hi", "U: hi\nU: hi", "U: hi\nB: hello\nU: bye", "hi\nB: hello"])
def test_a_talk_out_of_turn_is_named(text: str) -> None:
    with pytest.raises(UserError, match=r"Talk 2 of mine\.txt must alternate"):
        list(parse_talks("mine.txt", f"U: a\nB: b\n\n{text}"))
