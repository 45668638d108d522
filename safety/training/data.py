"""Labelled lines for training and measuring: one JSON object a line, plain or zstandard-compressed.

A row is ``{"text", "context": […] | null, "labels": {"unsafe": 0|1, CATEGORY: 0|1, "raw": …}, "lang",
"source"}``; a label
that is missing is not known. A tenth of every file is held out by a hash of the talk or the template where there is
one,
else of the text; another tenth calibrates; nothing of the two is ever fitted on.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from dialogue.errors import MissingExtra, UserError

FIT, CALIBRATE, HELD_OUT = "fit", "calibrate", "held out"


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled line. ``labels`` has only what is known; ``spans`` are (start, end, kind) of personal data."""

    text: str
    context: tuple[str, ...]
    labels: dict[str, int]
    lang: str
    file: str
    raw: str = ""
    spans: tuple[tuple[int, int, str], ...] = field(default=())

    @property
    def split(self) -> str:
        """Which part of the data this row belongs to; the same on every machine."""
        bucket = int(hashlib.sha1(self.group.encode("utf-8", "replace")).hexdigest(), 16) % 10
        return HELD_OUT if bucket == 0 else CALIBRATE if bucket == 1 else FIT

    @property
    def group(self) -> str:
        """What must not be torn apart: the talk, or the template of rows made by one."""
        if self.context:
            return " ".join(self.context)
        if self.file.startswith("madlibs"):  # "NAME is a ADJECTIVE IDENTITY": the words that are neither
            return " ".join(self.text.lower().split()[1:3])
        text = self.text
        for start, end, kind in sorted(self.spans, reverse=True):
            text = f"{text[:start]}<{kind}>{text[end:]}"
        return re.sub(r"\d", "9", text) if self.file.startswith("pii") else text


def open_text(path: Path) -> TextIO:
    """A text file or a ``.zst`` one, for reading. Raises UserError when it cannot be opened."""
    try:
        if path.suffix != ".zst":
            return path.open(encoding="utf-8")
        import zstandard
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ImportError as error:
        raise MissingExtra(f"Reading {path} needs zstandard", "train") from error
    return io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(path.open("rb")), encoding="utf-8")


def json_lines(path: Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of a file of JSON lines; blank lines are left out. Raises UserError naming the
    line."""
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    yield number, json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path}, row {number}: not valid JSON ({error}).") from error


def data_files(folder: Path) -> list[Path]:
    """The data files of a folder, by name. Raises UserError when there are none."""
    files = sorted(p for p in folder.glob("*") if p.name.endswith((".jsonl", ".jsonl.zst")))
    if not files:
        raise UserError(f"No .jsonl or .jsonl.zst file in {folder}; give the folder of labelled lines.")
    return files


def read_rows(folder: Path) -> list[Row]:
    """All rows of a folder. Raises UserError naming file and row for anything that is not of the form above."""
    return [_row(value, path, number) for path in data_files(folder) for number, value in json_lines(path)]


def _row(value: Any, path: Path, number: int) -> Row:
    where = f"{path.name}, row {number}"
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise UserError(f'{where}: expected an object with "text".')
    labels, context = value.get("labels"), value.get("context") or ()
    if not isinstance(labels, dict):
        raise UserError(f'{where}: expected "labels", an object of 0 and 1 by category.')
    if not isinstance(context, list | tuple) or not all(isinstance(turn, str) for turn in context):
        raise UserError(f'{where}: "context" must be a list of texts or null.')
    known = {k: int(v) for k, v in labels.items() if k != "raw" and v in (0, 1)}
    spans = tuple((int(a), int(b), str(kind)) for a, b, kind in value.get("spans") or ())
    file = path.name.split(".", 1)[0]
    return Row(
        value["text"], tuple(context), known, str(value.get("lang", "en")), file, str(labels.get("raw", "")), spans
    )


def ordinary_talk(paths: Iterable[Path], limit: int = 2000) -> Iterator[Row]:
    """Lines of ordinary conversations, at most ``limit`` a file, each with the turn before it as context.

    Rows hold either "text" or "turns", a list of {"text"}. They are taken to be harmless as a whole: for thresholds
    and as counter-examples, not as truth about a single line.
    """
    for path in paths:
        rows = (row for _, value in json_lines(path) for row in _talk(value, path))
        yield from (row for row, _ in zip(rows, range(limit), strict=False))


def _talk(value: Any, path: Path) -> Iterator[Row]:
    turns = [turn.get("text", "") for turn in value.get("turns", [])] or [value.get("text", "")]
    lang, file = str(value.get("lang", "en")), path.name.split(".", 1)[0]
    for before, text in zip(["", *turns], turns, strict=False):
        if text:
            yield Row(text, (before,) if before else (), {"unsafe": 0}, lang, file)
