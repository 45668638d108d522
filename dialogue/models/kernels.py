"""Which matrix products a network is run with: one choice, made once when it is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from dialogue.errors import UnknownName
from dialogue.models.linear import Linear, fast_dtype, pack
from dialogue.models.quantise import ScreenedHead, int8_linear

DTYPES = ("auto", "float32", "bfloat16", "int8")


class Packer(Protocol):
    """Turns a weight into a product."""

    def __call__(self, weight: Tensor, bias: Tensor | None = None, activation: str | None = None) -> Linear:
        """(O, I) weight and (O,) bias -> a product (…, I) -> (…, O) followed by the activation."""
        ...


HeadPacker = Callable[[Callable[[], Tensor], Tensor | None, Tensor | None], Linear]
"""Reads the (V, I) weight of the projection to the vocabulary and makes it a product with the (V,) bias.

The third is the table of the same weights that the embedding keeps, None where the two differ.
"""


@dataclass(frozen=True, slots=True)
class Kernels:
    """``dtype`` is what products take and give; ``pack`` makes those inside the blocks, ``pack_head`` the last one."""

    dtype: torch.dtype
    pack: Packer
    pack_head: HeadPacker
    narrow_table: bool = False  # keep the embedding in bfloat16, not mapped in the checkpoint's own wider format

    def table(self, weight: Tensor) -> Tensor:
        """The (V, I) embedding as it is kept."""
        if not self.narrow_table or weight.element_size() <= 2:
            return weight
        return weight.to(torch.bfloat16)


def plain_kernels(dtype: torch.dtype, *, packed: bool = True) -> Kernels:
    """Products in ``dtype`` with weights in ``dtype``; ``packed=False`` avoids oneDNN's private operators."""
    make: Packer = partial(_pack, dtype=dtype, packed=packed)
    return Kernels(dtype, make, lambda read, bias, table: make(read(), bias), dtype is torch.bfloat16)


def _pack(
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    *,
    dtype: torch.dtype,
    packed: bool,
) -> Linear:
    return pack(weight, bias, dtype=dtype, activation=activation, packed=packed)


def torch_dtype(dtype: str) -> torch.dtype:
    """The type of the matrix products: the processor's best for "auto" and for "int8"."""
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}.get(dtype) or fast_dtype()


def choose_kernels(dtype: str) -> Kernels:
    """The products for "auto", "float32", "bfloat16" or "int8"; raises UnknownName for anything else."""
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES)
    if dtype == "int8":
        return Kernels(torch.float32, int8_linear, ScreenedHead, narrow_table=True)
    return plain_kernels(torch_dtype(dtype))
