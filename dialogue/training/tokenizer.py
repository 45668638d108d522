"""A byte-level BPE tokenizer of one's own, for networks trained from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
"""Ids 0, 1 and 2: the end of a persona, the start of the speaker's own turn, the end of a turn."""


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) with digits apart, ``vocabulary`` ids at most."""
    tokenizer = Tokenizer(models.BPE())
    bytes_apart = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_apart])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def kept_tokenizer(path: Path, texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """The tokenizer in ``path``, trained and written there first where the file does not exist."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        train_tokenizer(texts, vocabulary).save(str(partial))
        partial.replace(path)
    return Tokenizer.from_file(str(path))
