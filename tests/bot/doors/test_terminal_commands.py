"""The slash commands, over the real engine and store."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rich.console import Console

from bot.doors.commands import COMMANDS, Session, run_command
from bot.engine import ChatEngine
from dialogue.errors import UnknownName, UserError
from dialogue.turns import Conversation, ConversationKey, PersonKey
from tests.fakes import FakeGenerator, fake_engine, message

HERE = ConversationKey("test", "here")
ANA = PersonKey("test", "ana")


def say(conversation: Conversation) -> list[str]:
    return ["Kill yourself, you worthless bitch.", "I like the sea."]


@pytest.fixture
async def session() -> AsyncIterator[Session]:
    async with fake_engine(FakeGenerator(say)) as engine:
        yield Session(engine, Console(record=True, width=120, force_terminal=False), HERE, ANA)


async def talk(session: Session, text: str = "Hello") -> None:
    session.last = await session.engine.reply(message(text))


async def shown(session: Session, line: str) -> str:
    await run_command(session, line)
    return session.console.export_text()


async def test_help_names_every_command(session: Session) -> None:
    text = await shown(session, "/help")
    assert all(name in text for name in COMMANDS)


async def test_an_unknown_command_is_answered_with_the_nearest(session: Session) -> None:
    with pytest.raises(UnknownName, match="did you mean '/forget'"):
        await run_command(session, "/forgot")


async def test_why_shows_candidates_numbers_and_what_dropped_them(session: Session) -> None:
    await talk(session)
    text = await shown(session, "/why")
    assert "I like the sea." in text
    assert "safety:" in text
    assert "-1.00" in text
    assert "decode" in text


async def test_why_explains_the_last_reply_of_an_earlier_sitting(session: Session) -> None:
    await talk(session)
    later = Session(session.engine, Console(record=True, width=120), HERE, ANA)
    assert "I like the sea." in await shown(later, "/why")


@pytest.mark.parametrize("line", ["/why", "/rate 3"])
async def test_there_is_nothing_to_explain_or_rate_before_the_first_reply(session: Session, line: str) -> None:
    with pytest.raises(UserError, match="say something first"):
        await run_command(session, line)


@pytest.mark.parametrize(("argument", "labels"), [("1", (0, 0)), ("2", (1, 0)), ("3", (1, 1))])
async def test_a_rating_is_stored_with_both_labels(session: Session, argument: str, labels: tuple[int, int]) -> None:
    await talk(session)
    assert "Thank you" in await shown(session, f"/rate {argument}")
    given = {rating.label: rating.value for rating in session.engine.store.ratings()}
    assert (given["sensible"], given["specific"]) == labels


async def test_a_wrong_rating_is_told_how(session: Session) -> None:
    await talk(session)
    with pytest.raises(UserError, match="/rate 1"):
        await run_command(session, "/rate 7")


async def test_a_persona_is_changed_and_the_unknown_refused(session: Session) -> None:
    assert "captain" in await shown(session, "/persona")
    assert "talking to captain" in await shown(session, "/persona captain")
    assert session.bot_name == "captain"
    with pytest.raises(UnknownName):
        await run_command(session, "/persona nobody")
    assert session.bot_name == "captain"


async def test_export_writes_what_is_stored_and_forget_removes_it(session: Session, tmp_path: Path) -> None:
    await talk(session, "I collect purple umbrellas")
    await shown(session, f"/export {tmp_path / 'me.json'}")
    assert "purple umbrellas" in json.dumps(json.loads((tmp_path / "me.json").read_text()))
    assert "Deleted" in await shown(session, "/forget")
    await shown(session, f"/export {tmp_path / 'me.json'}")
    assert "purple umbrellas" not in (tmp_path / "me.json").read_text()


async def test_a_file_that_cannot_be_written_is_told(session: Session) -> None:
    with pytest.raises(UserError, match="name another file"):
        await run_command(session, "/export /nowhere/at/all.json")


async def test_reset_starts_afresh(session: Session) -> None:
    await talk(session)
    await shown(session, "/reset")
    assert not session.engine.store.load(HERE, last=10).turns


def test_the_session_works_on_the_real_engine(session: Session) -> None:
    assert isinstance(session.engine, ChatEngine)
