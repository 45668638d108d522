"""The one command line: it knows the commands' names and homes, and imports only the one that is asked for."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperGroup

from dialogue.errors import ChinwagError

COMMANDS: dict[str, tuple[str, str]] = {
    "chat": ("bot.cli.chat:app", "Talk to the bot in this terminal, or through a pipe."),
    "reply": ("bot.cli.reply:app", "Answer many conversations of a JSON Lines file, in batches."),
    "serve": ("bot.cli.serve:app", "Serve the bot over an OpenAI-compatible HTTP API, with a chat page."),
    "discord": ("bot.cli.discord:app", "Answer on Discord."),
    "keys": ("bot.cli.keys:app", "Make, list and revoke keys of the HTTP API."),
    "health": ("bot.cli.health:app", "Ask a running door whether it is well."),
    "models": ("bot.cli.models:app", "List the models that can be had and those on disk."),
    "settings": ("bot.cli.settings:app", "Print every setting, its value and where it came from."),
    "database": ("bot.history.cli:app", "Upgrade, check or back up the history."),
    "safety": ("safety.cli:app", "Explain, judge, train and report on the safety filter."),
    "console": ("eval.console.cli:app", "Rate replies: the SSA console, its raters' links and its results."),
    "bench": ("eval.bench.cli:app", "Measure decoding and serving against others, in one run."),
    "train": ("dialogue.training.cli:app", "Train a dialogue model: the one we ship, or your own."),
    "judge": ("dialogue.training.judge_cli:app", "Train a judge that helps trained weights choose what they say."),
    "evaluate": ("eval.cli:app", "Measure models offline: run, correlate, selfchat, safety, memorisation, compare."),
}
"""Command: (module:Typer application, one line of help)."""


class LazyGroup(TyperGroup):
    """A group whose commands are light entries for ``--help`` until one of them is run."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the command that is asked for in place of its entry."""
        if args and args[0] in COMMANDS:
            self.add_command(load_command(args[0]), args[0])
        return super().resolve_command(ctx, args)


def load_command(name: str) -> Any:
    """The real command behind a name."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    return typer.main.get_command(getattr(importlib.import_module(module), attribute))


app = typer.Typer(
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Chinwag: a chatbot that chats well, proves how well, and leaks nothing. Start with: chinwag chat",
)


def _entry(name: str, line: str) -> None:
    """Register the light entry of a command; LazyGroup replaces it before it could run."""

    def entry() -> None:
        raise AssertionError(f"the entry of {name} was run in place of the command")

    app.command(name, help=line)(entry)


for _name, (_, _line) in COMMANDS.items():
    _entry(_name, _line)


def main() -> None:
    """Run the command line: every foreseen failure is one sentence on standard error."""
    try:
        app(obj=HANDED_IN)
    except ChinwagError as error:
        _stop(str(error), 1)
    except KeyboardInterrupt:
        _stop("Interrupted.", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nobody reads on; the final flush must not fail
        sys.exit(141)
    except Exception as error:
        if os.environ.get("CHINWAG_LOG_LEVEL", "").lower() == "debug":
            traceback.print_exc()
        _stop(
            f"Something went wrong that we did not foresee ({type(error).__name__}: {error}). "
            "Run again with CHINWAG_LOG_LEVEL=debug for details, and please report it.",
            1,
        )


def _rating_form() -> object:
    """What doors ask about a reply: a thumb, and the console's own questions under the console's own version."""
    from bot.rating_form import RatingForm
    from eval.ssa.questions import FORM, QUESTIONS, SENSIBLE, SPECIFIC

    asked = {label: QUESTIONS[label].text["en"] for label in (SENSIBLE, SPECIFIC)}
    return RatingForm(FORM, {"liked": "Is this a good reply?", **asked})


def _text_filter() -> Callable[[str], str | None]:
    """Which training lines are left out, and why: the safety layer's opinion, for a trainer that must not import it."""
    from safety.corpus_filter import make_filter

    return make_filter()


HANDED_IN = {"rating_form": _rating_form, "text_filter": _text_filter}
"""What a command gets from a package that it may not import: makers, so that nothing is loaded before it is used."""


def _stop(sentence: str, code: int) -> None:
    typer.echo(sentence, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
