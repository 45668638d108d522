"""The files of a checkpoint folder: configuration, weights by name, a fingerprint of them. Runs nothing it finds there.

Weights come from safetensors, mapped into memory; older folders have pickles, read with ``weights_only=True``, which
refuses code. Which network the tensors belong to is not known here.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue.errors import UserError

SAFE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
PICKLE, PICKLE_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SAMPLED_BLOCKS, BLOCK_BYTES = 64, 1 << 16


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint; raises UserError when there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path.parent} is no checkpoint: it has no {path.name}; name one that has.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); get the checkpoint again.") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} is damaged: it should hold a JSON object; get the checkpoint again.")
    return value


def read_config(folder: Path) -> dict[str, Any]:
    """The contents of ``config.json``; raises UserError where the folder is no checkpoint."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; name a folder with a checkpoint, or see `chinwag models`.")
    return read_json(folder / "config.json")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights, safetensors preferred; raises UserError when one of them is missing."""
    for whole, index in ((SAFE, SAFE_INDEX), (PICKLE, PICKLE_INDEX)):
        if (folder / whole).is_file():
            return [folder / whole]
        if (folder / index).is_file():
            names = sorted(set(read_json(folder / index).get("weight_map", {}).values()))
            files = [folder / Path(name).name for name in names]  # an index cannot point out of its folder
            missing = [file.name for file in files if not file.is_file()]
            if missing or not files:
                raise UserError(f"{folder} lacks {', '.join(missing) or 'its weights'}; get the checkpoint again.")
            return files
    raise UserError(f"{folder} is no checkpoint: it has neither {SAFE} nor {PICKLE}; name a folder that has one.")


def read_tensors(folder: Path, pattern: str | None = None) -> Mapping[str, Tensor]:
    """All tensors by name, memory-mapped, from the checkpoint's weights or from the files that match ``pattern``.

    Raises UserError when a file is missing, damaged or holds more than tensors.
    """
    files = _files(folder, pattern)
    if all(path.suffix == ".safetensors" for path in files):
        return MappedTensors(files)
    return {name: tensor for path in files for name, tensor in _pickled(path).items()}


class MappedTensors(Mapping[str, Tensor]):
    """The tensors of safetensors files, each mapped into memory when it is asked for and only while it is used.

    A tensor that is packed into another layout and dropped leaves no page of the file behind in this process.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._file: dict[str, Path] = {}
        for path in files:
            with _opened(path) as file:
                self._file.update(dict.fromkeys(file.keys(), path))

    def __getitem__(self, name: str) -> Tensor:
        with _opened(self._file[name]) as file:
            tensor: Tensor = file.get_tensor(name)
            return tensor

    def __contains__(self, name: object) -> bool:
        return name in self._file

    def __iter__(self) -> Iterator[str]:
        return iter(self._file)

    def __len__(self) -> int:
        return len(self._file)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged and cannot be read ({error}); get the checkpoint again.") from error


def _files(folder: Path, pattern: str | None) -> list[Path]:
    if pattern is None:
        return weight_files(folder)
    files = sorted(folder.glob(pattern))
    if not files:
        raise UserError(f"{folder} lacks its weights ({pattern}); get them again.")
    return files


def _pickled(path: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is damaged or holds more than weights, so it is not opened ({reason}).") from error
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{path} does not hold named tensors; get a checkpoint in safetensors form.")
    return dict(found)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def fingerprint(folder: Path, *extra: str, pattern: str | None = None) -> str:
    """Sixteen hexadecimal digits that change with the weights, the configuration and ``extra``.

    Large files are sampled (their size and 64 blocks of 64 KiB, spread evenly): fine-tuning changes nearly every block.
    """
    digest = hashlib.sha256("\0".join(extra).encode())
    for path in (folder / "config.json", *_files(folder, pattern)):
        for block in _sampled(path):
            digest.update(block)
    return digest.hexdigest()[:16]


def _sampled(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    yield f"{path.name}:{size}".encode()
    stride = max(size // SAMPLED_BLOCKS, BLOCK_BYTES)
    with path.open("rb") as file:
        for start in range(0, size, stride):
            file.seek(start)
            yield file.read(BLOCK_BYTES)
        file.seek(max(size - BLOCK_BYTES, 0))
        yield file.read(BLOCK_BYTES)
