"""Rows as bags of hashed features, by the very code that runs at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety import features, linear_model
from safety.lexicons import hits
from safety.normalise import fold, views
from safety.training.data import Row
from safety.training.sgd import Bag


@dataclass(frozen=True)
class Texts:
    """What is fitted on: the ``reads`` of all texts and the names of the rule inputs."""

    reads: list[linear_model.Read]
    rules: tuple[str, ...]

    def bag(self, place: int) -> Bag:
        """One text's buckets, the rules it meets behind them."""
        seen = self.reads[place]
        rules = [(1 << features.BITS) + self.rules.index(rule) for rule in seen.rules if rule in self.rules]
        return bag(seen.parts, rules, np.full(len(rules), linear_model.RULE_VALUE, np.float32))


def read_text(text: str) -> linear_model.Read:
    """A text as the model sees it."""
    base = fold(text[: features.MAX_CHARS])
    return linear_model.read(base, [hit for view in views(base) for hit in hits(view.text)])


def bag(parts: Sequence[features.Indices], dense: Sequence[int], values: NDArray[np.float32]) -> Bag:
    """Buckets by namespace, each feature of n with the value 1/sqrt(n), and dense inputs with their own columns."""
    weights = [np.full(len(part), 1 / np.sqrt(max(1, len(part))), np.float32) for part in parts]
    columns = np.concatenate([*parts, np.asarray(dense, np.int64)]).astype(np.int64)
    return columns, np.concatenate([*weights, values]).astype(np.float32)


def read_all(rows: Sequence[Row], on_progress: Callable[[str], None]) -> Texts:
    """Read all rows."""
    reads = []
    for number, row in enumerate(rows):
        if number % 20000 == 0:
            on_progress(f"reading texts: {number} of {len(rows)}")
        reads.append(read_text(row.text))
    return Texts(reads, tuple(sorted({rule for seen in reads for rule in seen.rules})))


def context_bag(reply: linear_model.Read, before: linear_model.Read, dense: NDArray[np.float32]) -> Bag:
    """A reply given what it answers, with dense inputs behind the buckets."""
    parts = features.context_features(reply.tokens, reply.text, before.tokens, reply.rules, before.rules)
    first = 1 << features.CONTEXT_BITS
    return bag(parts, range(first, first + len(dense)), dense)
