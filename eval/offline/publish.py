"""Finished reports put where readers find them: pages copied, the tables of their front page filled in.

``README.md`` of the folder is written by people; between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` stands the
table of that name (eval/offline/summary.py), made anew from the JSON files at every call. Nothing else is touched.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from dialogue.errors import UnknownName, UserError
from eval.offline.summary import names, table

KINDS = ("report", "comparison", "correlations", "safety", "memorisation", "selfchat")
PAGE = "README.md"
_PLACE = re.compile(r"(<!-- begin ([\w-]+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def publish(folders: list[Path], out: Path) -> list[str]:
    """Copy each folder's pages under its own name and fill in the page's tables; what was filled in, in order.

    Raises UserError for a folder without a report, or for a page with a table that the published reports do not allow.
    """
    for folder in folders:
        _copy(folder, out / folder.absolute().name)
    page = out / PAGE
    if not page.is_file():
        raise UserError(
            f"{page} is missing: write it, with <!-- begin NAME --> and <!-- end NAME --> around each table."
        )
    reports = published(out)
    filled: list[str] = []

    def fill(found: re.Match[str]) -> str:
        name = found[2]
        if name not in names(reports):
            raise UnknownName(f"table in {page}", name, names(reports))
        filled.append(name)
        return f"{found[1]}{table(name, reports)}\n{found[3]}"

    page.write_text(_PLACE.sub(fill, page.read_text(encoding="utf-8")), encoding="utf-8")
    return filled


def _copy(folder: Path, place: Path) -> None:
    kind = next((kind for kind in KINDS if (folder / f"{kind}.json").is_file()), None)
    if kind is None:
        raise UserError(f"{folder} holds no finished report ({', '.join(f'{kind}.json' for kind in KINDS)}).")
    place.mkdir(parents=True, exist_ok=True)
    old = [path for path in place.iterdir() if path.name.startswith(kind) or path.name == "pairs.jsonl"]
    for path in old:
        path.unlink()
    names = [f"{kind}.json", f"{kind}.md", f"{kind}.html", *(["pairs.jsonl"] if kind == "comparison" else [])]
    for path in [*(folder / name for name in names), *folder.glob(f"{kind}-*.svg")]:
        shutil.copy(path, place / path.name)


def published(out: Path) -> dict[str, dict[str, Any]]:
    """All published reports by folder, "default" and "base" first."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(path for kind in KINDS for path in out.glob(f"*/{kind}.json")):
        found[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
    first = [name for name in ("default", "base", "tiny") if name in found]
    return {name: found[name] for name in (*first, *(name for name in found if name not in first))}
