"""Bookkeeping shared by the searches: dataclasses of tensors that have one row per request, picked from and joined."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from dialogue.decoding.constraints import NOTHING

Table = TypeVar("Table")


def pick(table: Table, rows: Tensor) -> Table:
    """The same table with only these rows, in this order: every field (R, …) -> (len(rows), …)."""
    return _map(table, lambda value: value.index_select(0, rows))


def stack(first: Table, second: Table) -> Table:
    """Both tables' rows under one another; narrower fields are filled up with ``NOTHING`` on the right."""
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(first)}  # type: ignore[arg-type]
    return replace(first, **{name: _cat(a, b) for name, (a, b) in pairs.items()})  # type: ignore[type-var]


def rectangle(lists: list[tuple[int, ...]], device: torch.device, fill: int = NOTHING) -> Tensor:
    """Lists of ids as a (len(lists), longest) tensor, filled up on the right."""
    width = max((len(ids) for ids in lists), default=0)
    return torch.tensor([[*ids, *[fill] * (width - len(ids))] for ids in lists], dtype=torch.long, device=device)


def _map(table: Table, change: Any) -> Table:
    return replace(table, **{f.name: change(getattr(table, f.name)) for f in fields(table)})  # type: ignore[type-var, arg-type]


def _cat(first: Tensor, second: Tensor) -> Tensor:
    width = max(first.shape[-1], second.shape[-1]) if first.dim() > 1 else 0
    return torch.cat([_widened(first, width), _widened(second, width)])


def _widened(value: Tensor, width: int) -> Tensor:
    if value.dim() == 1 or value.shape[-1] == width:
        return value
    return torch.nn.functional.pad(value, (0, width - value.shape[-1]), value=NOTHING)
