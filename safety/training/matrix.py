"""Rows as sparse feature matrices, by the very code that runs at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safety import features, linear_model
from safety.lexicons import hits
from safety.normalise import fold, views
from safety.training.data import Row


@dataclass(frozen=True)
class Matrices:
    """What is fitted on: ``text`` (rows, buckets + rules), ``reads`` of the texts, and the names of the rule inputs."""

    text: Any
    reads: list[linear_model.Read]
    rules: tuple[str, ...]


def read_text(text: str) -> linear_model.Read:
    """A text as the model sees it."""
    base = fold(text[: features.MAX_CHARS])
    return linear_model.read(base, [hit for view in views(base) for hit in hits(view.text)])


def sparse(buckets: Sequence[features.Indices], columns: int) -> Any:
    """One row per array of buckets, each with the value 1/sqrt(the number of buckets), repeats added up, (rows,
    columns) CSR."""
    from scipy.sparse import csr_matrix

    counts = np.array([len(row) for row in buckets])
    ends = np.concatenate([[0], np.cumsum(counts)])
    indices = np.concatenate([row.astype(np.int64) for row in buckets]) if len(buckets) else np.empty(0, np.int64)
    values = np.repeat(1 / np.sqrt(np.maximum(counts, 1)), counts).astype(np.float32)
    matrix = csr_matrix((values, indices, ends), shape=(len(buckets), columns))
    matrix.sum_duplicates()
    return matrix


def text_matrix(rows: Sequence[Row], on_progress: Callable[[str], None]) -> Matrices:
    """Read all rows: words and characters in one set of buckets, rules as dense columns behind."""
    from scipy.sparse import csr_matrix, hstack

    reads = []
    for number, row in enumerate(rows):
        if number % 20000 == 0:
            on_progress(f"reading texts: {number} of {len(rows)}")
        reads.append(read_text(row.text))
    rules = tuple(sorted({rule for seen in reads for rule in seen.rules}))
    dense = np.zeros((len(rows), len(rules)), np.float32)
    for place, seen in enumerate(reads):
        dense[place, [rules.index(rule) for rule in seen.rules]] = linear_model.RULE_VALUE
    columns = 1 << features.BITS
    grams = sparse([r.words for r in reads], columns) + sparse([r.chars for r in reads], columns)
    return Matrices(hstack([grams, csr_matrix(dense)]).tocsr(), reads, rules)


def context_matrix(
    reads: Sequence[linear_model.Read], befores: Sequence[linear_model.Read], dense: NDArray[Any]
) -> Any:
    """Replies given what they answer, (rows, context buckets + dense inputs) CSR."""
    from scipy.sparse import csr_matrix, hstack

    pairs = zip(reads, befores, strict=True)
    buckets = [features.context_features(r.tokens, b.tokens, r.rules, b.rules) for r, b in pairs]
    return hstack([sparse(buckets, 1 << features.CONTEXT_BITS), csr_matrix(dense)]).tocsr()
