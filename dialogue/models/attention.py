"""Attention of a few rows over what their groups share: the formulas that the caches' layout is made for."""

from __future__ import annotations

import torch
from torch import Tensor

from dialogue.models.caches import RowGroups

Pair = tuple[Tensor, Tensor]
"""Keys and values, (B, H, S, D) each."""


def attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """(B, K, H, D) scaled queries over (B, H, S, D) keys and values -> (B, K, H, D), strided.

    ``bias`` (B, 1, 1 or K, S) is added to the scores: minus infinity where a row must not look (at least one place of
    every row is open). Vaswani et al. 2017, equation 1.
    """
    scores = query.transpose(1, 2) @ keys.mT
    if bias is not None:
        scores += bias
    return (scores.softmax(-1) @ values).transpose(1, 2)


def joint_attention(
    query: Tensor, context: Pair, own: Pair, slots: RowGroups, pools: RowGroups, bias: Tensor | None
) -> Tensor:
    """In one softmax over a conversation's context and the row's own prefix; query heads share keys and values.

    ``query`` (N, H, G, D), already scaled; ``context`` of B slots; ``own`` keys and values of P pools; ``bias``
    (B, 1, K * G, S + t) is added to the scores -> (N, H * G, D).
    """
    shared = query.shape[2]
    asked = _grid(query, slots)
    among_own = _grid(query, pools) @ own[0].mT  # (P, H, k * G, t)
    if pools is not slots:
        among_own = _grid(_rows(among_own, shared, pools), slots)
    scores = torch.cat((asked @ context[0].mT, among_own), dim=-1)
    if bias is not None:
        scores += bias
    weights = scores.softmax(-1)
    columns = context[0].shape[2]
    mixed, among_own = weights[..., :columns] @ context[1], weights[..., columns:]
    if pools is slots:
        return _rows(mixed + among_own @ own[1], shared, slots).flatten(1, 2)
    from_own = _grid(_rows(among_own, shared, slots), pools) @ own[1]
    return (_rows(mixed, shared, slots) + _rows(from_own, shared, pools)).flatten(1, 2)


def _grid(x: Tensor, groups: RowGroups) -> Tensor:
    """(N, H, G, …) -> (B, H, K * G, …): the queries of a group together."""
    spread = groups.spread(x).transpose(1, 2)  # (B, H, K, G, …)
    return spread.reshape(*spread.shape[:2], -1, spread.shape[-1])


def _rows(x: Tensor, shared: int, groups: RowGroups) -> Tensor:
    """(B, H, K * G, …) -> (N, H, G, …)."""
    return groups.collect(x.view(*x.shape[:2], groups.width, shared, x.shape[-1]).transpose(1, 2))
