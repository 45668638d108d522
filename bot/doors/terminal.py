"""The door for a person at a terminal: line editing, a thinking indicator, and commands that begin with a slash."""

from __future__ import annotations

import asyncio
import signal
import time

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console
from rich.text import Text

from bot.bootstrap import open_engine
from bot.doors.commands import COMMANDS, Session, run_command
from bot.doors.pipe import HERE, ME
from bot.exchange import IncomingMessage, Reply
from bot.settings import Settings, hide_password
from dialogue.errors import ChinwagError, DialogueError, UserError
from dialogue.turns import Role


async def run_terminal(settings: Settings, *, persona: str | None, seed: int | None) -> None:
    """Chat until /quit or the end of input."""
    console = Console(highlight=False)
    with console.status("Waking up…") as status:
        opening = open_engine(settings, lambda line: status.update(line))
        engine = await opening.__aenter__()
    try:
        session = Session(engine, console, HERE, ME, persona=persona, seed=seed)
        _greet(session, settings)
        await _converse(session, settings)
    finally:
        await opening.__aexit__(None, None, None)


def _greet(session: Session, settings: Settings) -> None:
    kept = f"for {settings.retention_days} days" if settings.retention_days else "until you delete it"
    model = session.engine.responder.model.name
    session.console.print(f"[bold]Chinwag[/bold] · model {model} · a chatbot: what it says may be wrong.")
    session.console.print(
        f"This talk is kept {kept} in {hide_password(settings.database)}. /help shows the commands.\n", style="dim"
    )


async def _converse(session: Session, settings: Settings) -> None:
    history = await _typed_before(session, settings)
    prompt: PromptSession[str] = PromptSession(
        "you ▸ ", history=history, completer=WordCompleter(list(COMMANDS), sentence=True), complete_while_typing=False
    )
    while True:
        try:
            with patch_stdout():
                line = (await prompt.prompt_async()).strip()
        except EOFError:
            return
        except KeyboardInterrupt:
            session.console.print("(Ctrl-D or /quit leaves.)", style="dim")
            continue
        if line in {"/quit", "/exit"}:
            return
        await _handle(session, line, settings.reply_timeout_s)


async def _typed_before(session: Session, settings: Settings) -> InMemoryHistory:
    """Earlier messages for the arrow keys: from the store, so that /forget needs to clean up in one place only."""
    stored = await asyncio.to_thread(session.engine.store.load, session.key, last=settings.history_turns)
    session.persona = session.persona or stored.persona
    return InMemoryHistory([turn.text for turn in stored.turns if turn.role is Role.USER])


async def _handle(session: Session, line: str, timeout_s: float) -> None:
    """One line: a command, or a message; an error is a sentence and the chat goes on."""
    try:
        if line.startswith("/"):
            await run_command(session, line)
        elif line:
            await _say(session, line, timeout_s)
    except (UserError, DialogueError) as error:
        session.console.print(str(error), style="yellow", markup=False)
    except ChinwagError as error:
        session.console.print(f"{error} Nothing that was stored before is lost.", style="red", markup=False)


async def _say(session: Session, text: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    message = IncomingMessage(HERE, ME, text, deadline, persona=session.persona, seed=session.seed)
    task = asyncio.ensure_future(_reply_with_progress(session, message))
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, task.cancel)
    try:
        session.last = await task
    except asyncio.CancelledError:
        session.console.print("(stopped; nothing of this message was kept)", style="dim")
        return
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
    said = Text(f"{session.bot_name} ▸ ", style="bold cyan").append(
        Text(session.last.turn.text, style="not bold default")
    )
    session.console.print(said)


async def _reply_with_progress(session: Session, message: IncomingMessage) -> Reply:
    with session.console.status("thinking…", spinner="dots") as status:
        async for event in session.engine.events(message):
            if event.reply:
                return event.reply
            status.update(f"{event.stage}…" + (f" {event.tokens} tokens" if event.tokens else ""))
    raise AssertionError("events always end with the reply or an error")
