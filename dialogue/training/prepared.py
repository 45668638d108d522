"""Tokenised talks in a folder of their own, to train where the corpora are not: packed arrays and a manifest.

What a run needs to know of its data and nothing else: token ids by source, the weights of the mix, the tokenizer, and
the record of where all of it came from. Reading it needs neither the corpora nor zstandard nor the filter.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from dialogue.errors import UserError
from dialogue.models.base import file_sha256
from dialogue.training.data import Data
from dialogue.training.tokens import ARRAYS, TokenTalks, tokenizer_sha256

FORMAT = 1
RECORD = "prepared.json"


def write_prepared(folder: Path, data: Data, tokenizer: Tokenizer) -> int:
    """Put the data into ``folder``, replacing what an earlier call put there; the bytes written.

    Raises UserError when the folder holds something else or cannot be written.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / RECORD).is_file():
        raise UserError(f"{folder} holds files that are no prepared talks; name another folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for split, sources in (("train", data.train), ("valid", data.valid)):
            for source, talks in sources.items():
                np.savez_compressed(partial / f"{source}.{split}.npz", **_arrays(talks))
        tokenizer.save(str(partial / "tokenizer.json"))
        record = {"format": FORMAT, "train": [*data.train], "valid": [*data.valid], "weights": data.weights}
        record |= {"tokenizer_file_sha256": file_sha256(partial / "tokenizer.json")}
        (partial / RECORD).write_text(json.dumps(record | {"manifest": data.manifest}), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise UserError(f"The prepared talks cannot be written to {folder}: {error}.") from error
    return sum(path.stat().st_size for path in folder.iterdir())


def read_prepared(folder: Path) -> tuple[Tokenizer, Data]:
    """The tokenizer and the data that :func:`write_prepared` put there.

    Raises UserError when the folder holds none that are whole, or ids of another tokenizer than the one beside them.
    """
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        train, valid = (_talks(folder, record[split], split) for split in ("train", "valid"))
        if file_sha256(folder / "tokenizer.json") != record["tokenizer_file_sha256"]:
            raise ValueError("tokenizer.json was changed")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        data = Data(train, valid, record["weights"], record["manifest"])
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder} holds no prepared talks that can be read ({error}); make them again.") from error
    refuse_tokenizer(data.manifest, tokenizer, folder)
    return tokenizer, data


def refuse_tokenizer(manifest: Mapping[str, Any], tokenizer: Tokenizer, folder: Path) -> None:
    """Raise UserError when the ids in ``folder`` were made by another tokenizer."""
    if tokenizer_sha256(tokenizer) != manifest["tokenizer_sha256"]:
        raise UserError(f"The talks in {folder} were tokenised by another tokenizer; prepare them again.")


def _arrays(talks: TokenTalks) -> dict[str, Any]:
    return {name: getattr(talks, name) for name in ARRAYS}


def _talks(folder: Path, sources: list[str], split: str) -> dict[str, TokenTalks]:
    found = {}
    for source in sources:
        with (folder / f"{source}.{split}.npz").open("rb") as file, np.load(file) as arrays:
            found[source] = TokenTalks(**{name: arrays[name] for name in ARRAYS})
    return found
