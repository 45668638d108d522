"""The prose is held to the code: commands, settings, files and links that the docs name exist."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import chinwag
from bot.doors.commands import COMMANDS as SLASH_COMMANDS
from bot.settings import PREFIX, Settings, describe, load_settings
from dialogue.decoding.config import PRESETS
from dialogue.persona_cards import persona_names

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("safety/*.md")])
README = (ROOT / "README.md").read_text(encoding="utf-8")

NOT_SETTINGS = {"CHINWAG_CONFIG", "CHINWAG_SHARED_DATA", "CHINWAG_SECRETS_FOLDER"}
"""Variables that name a file or folder to read from, and so cannot be settings themselves."""


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_and_picture_points_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text(page)):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", text(ROOT / "Makefile"), re.MULTILINE))
    for name in re.findall(r"\bchinwag ([a-z]+)\b(?=[ `\n])", "\n".join(re.findall(r"`[^`]+`", text(page)))):
        assert name in chinwag.COMMANDS, f"{page.name} names: chinwag {name}"
    for name in re.findall(r"`make ([a-z]+)", text(page)):
        assert name in targets, f"{page.name} names: make {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(page: Path) -> None:
    of_compose = set(re.findall(r"\$\{(CHINWAG_[A-Z_]+)", text(ROOT / "docker-compose.yml")))
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS | of_compose
    for variable in re.findall(r"\bCHINWAG_[A-Z_]+[A-Z]\b", text(page)):
        assert variable in known, f"{page.name} names {variable}"


def test_every_setting_says_what_it_means() -> None:
    assert all(meaning for _, _, _, meaning in describe(load_settings()))


def test_every_file_of_the_tree_in_the_readme_exists() -> None:
    tree = README.split("```\nchinwag.py", 1)[1].split("```", 1)[0]
    folder = ""
    for line in f"chinwag.py{tree}".splitlines():
        name = line.lstrip("├└─│ ").split(" ")[0]
        if not name:
            continue
        if not line.startswith(("├", "└", "│")):
            folder = name if name.endswith("/") else ""
        place = name if name == folder else folder + name
        assert (ROOT / place).exists(), place


def test_the_readme_names_every_slash_command() -> None:
    assert all(name in README for name in SLASH_COMMANDS if name != "/quit") and "/quit" in README


def test_every_preset_and_persona_named_in_an_example_exists() -> None:
    for page in PAGES:
        for option, value in re.findall(r"--(preset|persona) ([a-z-]+)", text(page)):
            assert value in (PRESETS if option == "preset" else persona_names()), f"{page.name}: --{option} {value}"


def test_the_pipe_example_of_the_readme_runs(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example = next(line for line in README.splitlines() if "chinwag chat --json" in line)
    command = re.search(r"`(printf [^`]+)`", example)
    assert command
    sent, program = command[1].replace("\\|", "|").split("|")
    monkeypatch.setenv("CHINWAG_MODEL", str(tiny_checkpoint))
    typed = shlex.split(sent)[1].encode().decode("unicode_escape")
    arguments = shlex.split(program)[1:]
    done = subprocess.run(
        [sys.executable, str(ROOT / "chinwag.py"), *arguments], input=typed, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["source"] == "model"
