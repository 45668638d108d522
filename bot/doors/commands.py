"""The slash commands of the terminal: one function each, found by its name in a table."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from bot.doors.why import explain
from bot.engine import ChatEngine
from bot.exchange import Export, Feedback, Reply
from dialogue.errors import UnknownName, UserError
from dialogue.persona_cards import load_persona, persona_names
from dialogue.turns import ConversationKey, PersonKey

FORM = "terminal-1"
"""The version of the question that /rate asks; stored with every rating."""


@dataclass(slots=True)
class Session:
    """One sitting at the terminal."""

    engine: ChatEngine
    console: Console
    key: ConversationKey
    person: PersonKey
    persona: str | None = None
    seed: int | None = None
    last: Reply | None = None

    @property
    def bot_name(self) -> str:
        """What the bot is called here."""
        return load_persona(self.persona or self.engine.habits.persona).name


async def run_command(session: Session, line: str) -> None:
    """Run ``/name argument``; UnknownName for a command that does not exist."""
    name, _, argument = line.partition(" ")
    if name not in COMMANDS:
        raise UnknownName("command", name, COMMANDS)
    await COMMANDS[name](session, argument.strip())


async def _help(session: Session, argument: str) -> None:
    """Show the commands."""
    for name, command in COMMANDS.items():
        session.console.print(f"  [bold]{name:10}[/bold]{escape((command.__doc__ or '').splitlines()[0])}")


async def _persona(session: Session, argument: str) -> None:
    """/persona NAME: change who the bot is; without a name, list who there is."""
    if not argument:
        session.console.print(f"  {', '.join(persona_names())}   (now: {session.bot_name})")
        return
    card = await session.engine.use_persona(session.key, argument)
    session.persona = argument
    session.console.print(f"  You are now talking to {escape(card.name)}.")


async def _reset(session: Session, argument: str) -> None:
    """Begin a new conversation; the earlier one stays stored."""
    await session.engine.reset(session.key)
    session.last = None
    session.console.print("  A fresh start: I no longer think of what was said before.")


async def _forget(session: Session, argument: str) -> None:
    """Delete everything that is stored about you."""
    forgotten = await session.engine.forget(session.person)
    session.last = None
    session.console.print(f"  Deleted: {forgotten}.")


async def _export(session: Session, argument: str) -> None:
    """/export [FILE]: write everything that is stored about you as JSON."""
    exported = await session.engine.export(session.person)
    path = _write(argument or "chinwag-export.json", exported)
    session.console.print(f"  Written to {escape(str(path))}.")


def _write(name: str, exported: Export) -> Path:
    path = Path(name).expanduser()
    try:
        path.write_text(json.dumps(exported.data, ensure_ascii=False, indent=2, default=str) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} cannot be written ({error.strerror}); name another file: /export FILE.") from error
    return path


async def _why(session: Session, argument: str) -> None:
    """Show the candidates of the last reply, what dropped some, and why the winner won."""
    session.console.print(explain(await _last_reply(session)))


async def _last_reply(session: Session) -> Reply:
    """The last reply of this sitting, else of the stored conversation."""
    if session.last is None and (record := await asyncio.to_thread(session.engine.store.why, session.key)):
        session.last = record.reply
    if session.last is None:
        raise UserError("There is no reply here yet; say something first.")
    return session.last


async def _rate(session: Session, argument: str) -> None:
    """/rate 1|2|3: the last reply was 1 not sensible, 2 sensible, 3 sensible and specific."""
    last = await _last_reply(session)
    if argument not in {"1", "2", "3"}:
        raise UserError("Rate the last reply with /rate 1 (not sensible), 2 (sensible) or 3 (sensible and specific).")
    for label, value in (("sensible", argument in "23"), ("specific", argument == "3")):
        await session.engine.feedback(Feedback(last.turn_id, session.person, label, int(value), FORM))
    session.console.print("  Thank you, noted.")


async def _quit(session: Session, argument: str) -> None:
    """Leave; the conversation is kept."""


COMMANDS: dict[str, Callable[[Session, str], Awaitable[None]]] = {
    "/help": _help,
    "/persona": _persona,
    "/reset": _reset,
    "/forget": _forget,
    "/export": _export,
    "/why": _why,
    "/rate": _rate,
    "/quit": _quit,
}
