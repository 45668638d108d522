"""Rows of a JSON Lines file, plain or packed with zstd, one at a time; whatever is wrong is told by file and row.

Nothing of the file is kept: ten million rows take no more memory than one. What a row must hold is corpora.py's
and ratings.py's business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dialogue.errors import UserError

BLOCK_BYTES = 1 << 16
LONGEST_ROW_BYTES = 1 << 24


def numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number from 1, JSON object) for every row that is not blank.

    Raises UserError, one sentence with file and row: unreadable file, truncated or damaged zstd, other encodings, no
    JSON, no object. Rows before the fault are yielded first.
    """
    for number, line in enumerate(_lines(path), start=1):
        text = _decoded(line, path, number)
        if text.strip():
            yield number, _object(text, path, number)


def _lines(path: Path) -> Iterator[bytes]:
    rest, number = b"", 1
    for block in _blocks(path):
        pieces = (rest + block).split(b"\n")
        rest = pieces.pop()
        number += len(pieces)
        yield from pieces
        if len(rest) > LONGEST_ROW_BYTES:
            raise UserError(f"{path}, row {number}: longer than 16 MiB; is this JSON Lines, one object a line?")
    if rest:
        yield rest


def _blocks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            blocks = iter(lambda: file.read(BLOCK_BYTES), b"")
            yield from _unpacked(blocks, path) if path.suffix == ".zst" else blocks
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a JSON Lines file.") from error


def _unpacked(blocks: Iterator[bytes], path: Path) -> Iterator[bytes]:
    """Plain bytes of a zstd file of one or more frames; a file that ends inside a frame is an error, not an end."""
    import zstandard

    frame, fed, row = zstandard.ZstdDecompressor().decompressobj(), False, 1
    try:
        for block in blocks:
            while block:
                plain, fed = frame.decompress(block), True
                row += plain.count(b"\n")
                yield plain
                block = frame.unused_data if frame.eof else b""
                if frame.eof:
                    frame, fed = zstandard.ZstdDecompressor().decompressobj(), False
    except zstandard.ZstdError as error:
        raise UserError(f"{path}, row {row}: the zstd packing is damaged ({error}); get the file again.") from error
    if fed:
        raise UserError(f"{path}, row {row}: the zstd file ends in the middle (truncated); get the file again.")


def _decoded(line: bytes, path: Path, number: int) -> str:
    if number == 1 and line.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path}, row 1: this is UTF-16; save the file as UTF-8.")
    try:
        return line.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, row {number}: not UTF-8 (at byte {error.start + 1}); save the file as UTF-8."
        ) from error


def _object(text: str, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}, row {number}: this is not JSON ({error}).") from error
    if not isinstance(value, dict):
        raise UserError(f"{path}, row {number}: a row must be a JSON object, not {type(value).__name__}.")
    return value


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, for provenance; UserError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from error
    return digest.hexdigest()
