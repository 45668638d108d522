"""The best few of very many: the one search operation that touches the whole vocabulary."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 64
"""Scores looked at together. The k best values lie in the k blocks whose maxima are best."""


def top(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best of (…, V) scores and their places, best first: two (…, k) tensors; the values are ``torch.topk``'s."""
    size = scores.shape[-1]
    blocks = size // BLOCK
    if blocks <= 2 * k or scores.device.type != "cpu":
        best, at = scores.topk(k, dim=-1)
        return best, at
    whole = scores[..., : blocks * BLOCK].reshape(*scores.shape[:-1], blocks, BLOCK)
    chosen = whole.amax(dim=-1).topk(k, dim=-1).indices
    inside = chosen[..., None] * BLOCK + torch.arange(BLOCK)
    rest = torch.arange(blocks * BLOCK, size).expand(*scores.shape[:-1], -1)
    places = torch.cat([inside.flatten(-2), rest], dim=-1)
    best, at = scores.gather(-1, places).topk(k, dim=-1)
    return best, places.gather(-1, at)
