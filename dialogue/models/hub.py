"""Checkpoints from the Hugging Face hub: their files, one form of weights, never any code.

Only downloading; what the files mean is dialogue/models/loading.py.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dialogue.errors import UserError
from dialogue.models.checkpoint import weight_files
from dialogue.models.judge import FILE as JUDGE_FILE

SMALL_FILES = ["*.json", "*.txt", "*.model", JUDGE_FILE]
WEIGHTS = ("model*.safetensors", "pytorch_model*.bin")


def download(hub_id: str, cache: Path | None, on_progress: Callable[[str], None]) -> Path:
    """The folder with the checkpoint's files, from the cache on disk where they are there.

    Safetensors are fetched where the hub has them, else the pickles. Raises UserError when the hub cannot be reached,
    or has no such model.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    found = present(hub_id, cache)
    if found is not None:
        return found
    on_progress(f"Downloading {hub_id} from the hub …")
    try:
        return _fetch(hub_id, cache)
    except RepositoryNotFoundError as error:
        raise UserError(f"The hub has no model {hub_id!r} that can be read without an account.") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(f"{hub_id} is not on this machine and the hub cannot be reached; check the network.") from error


def _fetch(hub_id: str, cache: Path | None) -> Path:
    folder = Path()
    for weights in WEIGHTS:
        folder = _snapshot(hub_id, cache, [*SMALL_FILES, weights], offline=False)
        if _is_whole(folder):
            break
    return folder


def present(hub_id: str, cache: Path | None) -> Path | None:
    """The folder with the checkpoint's files when all of them are on this machine; asks nobody else."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    for weights in WEIGHTS:
        with suppress(LocalEntryNotFoundError):
            folder = _snapshot(hub_id, cache, [*SMALL_FILES, weights], offline=True)
            if _is_whole(folder):
                return folder
    return None


def _is_whole(folder: Path) -> bool:
    try:
        return bool(weight_files(folder)) and (folder / "config.json").is_file()
    except UserError:
        return False


def _snapshot(hub_id: str, cache: Path | None, patterns: list[str], *, offline: bool) -> Path:
    from huggingface_hub import snapshot_download

    where = None if cache is None else cache / "hub"
    return Path(snapshot_download(hub_id, cache_dir=where, allow_patterns=patterns, local_files_only=offline))
