"""What is asked of trees that were read in one pass: a few values of each row's distribution over the vocabulary.

Knows last states and a way from them to log-probabilities; the trees themselves are the caches' (PrefixCache.plant).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

HEAD_ROWS = 64
"""Rows whose distributions are held at once: 13 MB in float32 at 49,152 words."""


def picked(log_probs: Callable[[Tensor], Tensor], states: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
    """(N, width) last states, (M, 2) pairs (row, token) -> (M,) log-probabilities, (M,) whether the likeliest there.

    ``log_probs`` makes (n, V) log-probabilities in nats of (n, width) states.
    """
    found, likeliest = torch.empty(len(asked)), torch.empty(len(asked), dtype=torch.bool)
    for start in range(0, len(states), HEAD_ROWS):
        values = log_probs(states[start : start + HEAD_ROWS])
        mine = (asked[:, 0] // HEAD_ROWS == start // HEAD_ROWS).nonzero().flatten()
        rows, wanted = asked[mine, 0] - start, asked[mine, 1]
        found[mine], likeliest[mine] = values[rows, wanted], values.argmax(-1)[rows] == wanted
    return found, likeliest
