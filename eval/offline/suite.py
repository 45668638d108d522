"""A suite: which contexts, how many, what to compute. A readable TOML file, shipped or the user's own.

Files are named relative to the suite's own folder or to the folder given with ``--data``; no path is built in.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dialogue.errors import UnknownName, UserError
from eval.offline.corpora import Reading, read_items
from eval.offline.items import Item
from eval.offline.jsonl import sha256
from eval.offline.metrics.table import METRICS

SHIPPED = Path(__file__).parent / "suites"
_SOURCE_KEYS = {"file", "sample", "per_talk", "group_separator", "need_references"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a suite and how it is read."""

    file: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Suite:
    """``score`` is how many human answers of an item get a likelihood (0: none, -1: all, with all wrong answers)."""

    name: str
    version: int
    about: str
    sources: tuple[SourceFile, ...]
    metrics: tuple[str, ...]
    replies: bool = True
    score: int = 1
    resamples: int = 1000
    persona: str = ""
    folder: Path = SHIPPED

    def as_dict(self) -> dict[str, Any]:
        """What a result depends on; where the file lies does not matter."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}


def suite_names() -> list[str]:
    """The suites that are shipped."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load_suite(name: str) -> Suite:
    """A shipped suite by name, or any ``.toml`` file; UnknownName or UserError with the field that is wrong."""
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    if not path.is_file():
        raise UnknownName("suite", name, suite_names())
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The suite {path} cannot be read: {error}.") from error
    return _suite(raw, path)


def _suite(raw: Mapping[str, Any], path: Path) -> Suite:
    known = {"name", "version", "about", "sources", "metrics", "replies", "score", "resamples", "persona"}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise UnknownName(f"suite field in {path.name}", unknown[0], known)
    metrics = tuple(raw.get("metrics") or METRICS)
    for name in metrics:
        if name not in METRICS:
            raise UnknownName("metric", name, METRICS)
    sources = tuple(_source(entry, path) for entry in raw.get("sources", []))
    if not sources:
        raise UserError(f"The suite {path} needs at least one [[sources]] with a file.")
    plain = {name: raw[name] for name in ("replies", "score", "resamples", "persona") if name in raw}
    _check_types(plain, path)
    return Suite(
        str(raw.get("name", path.stem)), int(raw.get("version", 1)), str(raw.get("about", "")), sources, metrics,
        folder=path.resolve().parent, **plain,
    )  # fmt: skip


def _check_types(plain: Mapping[str, Any], path: Path) -> None:
    wanted = {"replies": bool, "score": int, "resamples": int, "persona": str}
    for name, value in plain.items():
        if not isinstance(value, wanted[name]) or (wanted[name] is int and isinstance(value, bool)):
            raise UserError(f"The suite {path} needs {wanted[name].__name__} in the field {name!r}, not {value!r}.")


def _source(entry: object, path: Path) -> SourceFile:
    if not isinstance(entry, dict) or not isinstance(entry.get("file"), str):
        raise UserError(f"The suite {path} has a source without a file; give file = “NAME.jsonl”.")
    unknown = sorted(set(entry) - _SOURCE_KEYS)
    if unknown:
        raise UnknownName(f"source field in {path.name}", unknown[0], _SOURCE_KEYS)
    return SourceFile(entry["file"], Reading(**{name: value for name, value in entry.items() if name != "file"}))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The items of a suite, and the SHA-256 of every file they came from."""

    items: tuple[Item, ...]
    hashes: Mapping[str, str]


def load_items(suite: Suite, data: Path | None, contexts: Sequence[Path] = (), limit: int = 0) -> Loaded:
    """All items, ids made unique by their source's name. ``contexts`` replaces the suite's own files; ``limit`` keeps
    an even spread of that many. Raises UserError with file and row, or naming the folder that is missing.
    """
    files = [(path, suite.sources[0].reading) for path in contexts] if contexts else _files(suite, data)
    items: list[Item] = []
    for path, reading in files:
        items += read_items(path, reading)
    several = len(files) > 1
    named = [_named(item, f"{item.source}/{item.id}" if several else item.id) for item in items]
    if limit and len(named) > limit:
        named = [named[int(place * len(named) / limit)] for place in range(limit)]
    return Loaded(tuple(named), {path.name: sha256(path) for path, _ in files})


def _named(item: Item, name: str) -> Item:
    return replace(item, id=name, group=f"{item.source}/{item.group}")


def _files(suite: Suite, data: Path | None) -> list[tuple[Path, Reading]]:
    found: list[tuple[Path, Reading]] = []
    for source in suite.sources:
        places = [suite.folder / source.file, *([data / source.file] if data else [])]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            asked = f"in {data}" if data else "because no --data folder was given"
            raise UserError(f"The suite {suite.name!r} needs the file {source.file}, not found {asked}.")
        found.append((path, source.reading))
    return found


def digest(value: object) -> str:
    """Sixteen hexadecimal digits that change with any JSON-ready value."""
    plain = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
