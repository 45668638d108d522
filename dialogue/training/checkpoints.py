"""Checkpoints of a run: whole or not at all, so that a kill at any moment costs at most the time since the last one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from dialogue.errors import UserError

NAME = "checkpoint.pt"


def save_checkpoint(folder: Path, state: dict[str, Any], name: str = NAME) -> Path:
    """Write ``state`` beside, flush it to the disk, then move it over the previous file of that name."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{name}.{os.getpid()}"
    with partial.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    return partial.replace(folder / name)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The last checkpoint of a run folder, or None. Raises UserError when it cannot be read."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"The checkpoint {path} cannot be read ({error}); delete it to start afresh.") from error
    return state
