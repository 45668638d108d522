"""Sentence vectors from a model's own word table: the mean of token vectors, rare tokens counting more.

Smooth inverse frequency with the common direction taken out (Arora et al. 2017), over the embedding table of the base
checkpoint. Light enough for a laptop; a sentence encoder would do better and is a download we do not ask for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

A = 1e-3
"""The smoothing constant of Arora et al. 2017, section 4."""


class WordMeaning:
    """Texts to unit-scale vectors; fitted on the texts whose frequencies and common direction it uses."""

    def __init__(self, table: NDArray[np.float32], encode: Any, corpus: Sequence[str]) -> None:
        """``table`` is (V, D); ``encode`` gives the token ids of a text; ``corpus`` are texts like those to come."""
        self._table, self._encode = table, encode
        counts = Counter(token for text in corpus for token in encode(text))
        total = max(sum(counts.values()), 1)
        self._weight = {token: A / (A + count / total) for token, count in counts.items()}
        self._common: NDArray[np.float32] | None = None
        raw = np.array([self._mean(text) for text in list(corpus)[:2000]])
        if len(raw) > 1:
            self._common = np.linalg.svd(raw, full_matrices=False)[2][0]

    def _mean(self, text: str) -> NDArray[np.float32]:
        ids = self._encode(text)
        if not ids:
            return np.zeros(self._table.shape[1], np.float32)
        weights = np.array([self._weight.get(token, 1.0) for token in ids], np.float32)
        found: NDArray[np.float32] = weights @ self._table[ids] / len(ids)
        return found

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector a text; zeros for a text without tokens."""
        vectors = np.array([self._mean(text) for text in texts])
        if self._common is not None:
            vectors = vectors - np.outer(vectors @ self._common, self._common)
        found: list[list[float]] = vectors.tolist()
        return found


def base_meaning(corpus: Sequence[str], cache: Path | None = None) -> WordMeaning:
    """Over the base model's table, which every installation has."""
    from dialogue.models.base import base_checkpoint
    from dialogue.models.checkpoint import read_tensors
    from dialogue.models.vocabulary import TokenizerVocabulary

    folder = base_checkpoint(cache).folder
    table = read_tensors(folder)["model.embed_tokens.weight"].float().numpy()
    return WordMeaning(table, TokenizerVocabulary.from_file(folder / "tokenizer.json").encode, corpus)
