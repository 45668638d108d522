"""The packages' order, the homes of heavy libraries, and clean imports, read from the syntax trees."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["dialogue", "safety", "bot", "eval", "chinwag"]
"""Each package may import itself and what stands to its left."""

HOMES = {
    "torch": [
        "dialogue/decoding/*", "dialogue/models/*", "dialogue/training/*", "dialogue/generator.py", "bot/bootstrap.py",
        "safety/training/*", "safety/detectors/pair_encoder.py", "eval/bench/*", "eval/offline/likelihood.py",
        "eval/memorisation.py",
    ],
    "transformers": [
        "dialogue/models/*", "dialogue/training/*", "safety/training/*", "safety/detectors/pair_encoder.py",
        "eval/bench/*", "eval/offline/likelihood.py", "eval/memorisation.py",
    ],
    "sqlalchemy": ["bot/history/*", "eval/ssa/*"],
    "alembic": ["bot/history/*", "eval/ssa/*"],
    "discord": ["bot/doors/discord_*"],
    "fastapi": ["bot/doors/http_api*", "eval/bench/plain_server.py"],
    "streamlit": ["eval/console/app.py", "eval/console/app_rater.py", "eval/console/app_owner.py"],
    "ray": ["bot/doors/ray_serve.py", "eval/offline/runner.py"],
}  # fmt: skip


def modules() -> list[Path]:
    return [*sorted(path for package in ORDER[:-1] for path in (ROOT / package).rglob("*.py")), ROOT / "chinwag.py"]


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written in full"
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_the_left(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    for line, name in imports(path):
        top = name.split(".")[0]
        assert top != "tests", f"{path.name}:{line} imports tests"
        if top in ORDER:
            assert ORDER.index(top) <= ORDER.index(own), f"{path.name}:{line}: {own} must not import {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_stay_at_home(path: Path) -> None:
    place = str(path.relative_to(ROOT))
    for line, name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        assert homes is None or any(fnmatch(place, home) for home in homes), f"{place}:{line} imports {name}"


def test_the_vocabulary_loads_nothing_heavy() -> None:
    code = (
        "import sys, dialogue.turns, dialogue.candidates, dialogue.errors, safety.verdict, bot.exchange, chinwag\n"
        f"heavy = {sorted([*HOMES, 'numpy', 'pydantic_settings'])}\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_is_a_giant() -> None:
    giants = [str(path) for path in modules() if path.read_text(encoding="utf-8").count("\n") > 400]
    assert not giants
