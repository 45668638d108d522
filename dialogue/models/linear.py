"""Matrix products with packed weights: the one file that owns oneDNN's private operators.

A decoding step multiplies a few rows by every weight of the network, so it is bound by reading weights. Packing a
weight once into oneDNN's blocked layout reads it at the speed of memory. Where these operators are missing (macOS, ARM,
another build of torch) the plain PyTorch product serves; :func:`packing_works` decides, once a process, by trying.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Linear = Callable[[Tensor], Tensor]
"""(…, I) -> (…, O), in and out in the computing dtype, bias and activation included."""

ROWS_EXPECTED = 10
"""Rows of a typical step (one conversation, ten beams): oneDNN chooses the block layout for this many."""

_ONEDNN_ACTIVATIONS = {None: "none", "relu": "relu", "gelu": "gelu", "silu": "swish"}
PLAIN_ACTIVATIONS: dict[str | None, Callable[[Tensor], Tensor]] = {
    None: lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
}


def _reorder(weight: Tensor, rows: int) -> Tensor:
    blocked: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    return blocked


@functools.cache
def packing_works() -> bool:
    """Whether this torch has the private oneDNN operators and they compute what they should."""
    if not torch._C._has_mkldnn:
        return False
    weight, x = torch.arange(12.0).view(3, 4), torch.arange(8.0).view(2, 4)
    try:
        return torch.allclose(PackedLinear(weight, None, None)(x), x @ weight.T)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return False


@functools.cache
def fast_dtype() -> torch.dtype:
    """bfloat16 where the processor multiplies it natively and packing works, else float32."""
    native = any(
        getattr(torch.cpu, name, lambda: False)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return torch.bfloat16 if native and packing_works() else torch.float32


@functools.cache
def int8_works() -> bool:
    """Whether this torch has the private int8 operators and this processor sums products without saturating."""
    codes = torch.tensor([[255, 255, 0, 128], [1, 2, 3, 4]], dtype=torch.uint8)
    weight = torch.tensor([[127, 127, -127, 1], [-127, -127, 127, 5]], dtype=torch.int8)
    try:
        found = Int8Product(weight, torch.ones(2))(codes)
    except (AttributeError, RuntimeError, TypeError, NotImplementedError):
        return False
    return torch.equal(found, (codes.float() - 128) @ weight.float().T)


class Int8Product:
    """(N, I) unsigned codes with zero point 128 times an int8 weight (O, I), in int32, scaled by channel -> float32."""

    def __init__(self, weight: Tensor, scales: Tensor) -> None:
        self._weight = torch.ops.onednn.qlinear_prepack(weight.contiguous(), [ROWS_EXPECTED, weight.shape[1]])
        self._scales, self._zeros = scales, torch.zeros(len(scales), dtype=torch.int32)

    def __call__(self, codes: Tensor) -> Tensor:
        """(N, I) codes -> (N, O) float32."""
        y: Tensor = torch.ops.onednn.qlinear_pointwise(
            codes, 1.0, 128, self._weight, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return y


class PackedLinear:
    """A weight (O, I) in oneDNN's blocked layout, with bias and activation fused behind the product."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str | None) -> None:
        self._weight = _reorder(weight.contiguous(), ROWS_EXPECTED)
        self._bias = None if bias is None else bias.clone()
        self._activation = _ONEDNN_ACTIVATIONS[activation]
        self._algorithm = "none" if activation == "gelu" else ""

    def __call__(self, x: Tensor) -> Tensor:
        """(…, I) -> (…, O)."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(
            x, self._weight, self._bias, self._activation, [], self._algorithm
        )
        return y


class PlainLinear:
    """The same product by PyTorch's public operators."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str | None) -> None:
        self._weight = weight.clone()
        self._bias = None if bias is None else bias.clone()
        self._activation = PLAIN_ACTIVATIONS[activation]

    def __call__(self, x: Tensor) -> Tensor:
        """(…, I) -> (…, O)."""
        return self._activation(F.linear(x, self._weight, self._bias))


def pack(
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    dtype: torch.dtype,
    activation: str | None = None,
    packed: bool = True,
) -> Linear:
    """A product with a private copy of ``weight`` (O, I) in ``dtype``: packed where that works and is wanted."""
    made = PackedLinear if packed and packing_works() else PlainLinear
    return made(weight.detach().to(dtype), None if bias is None else bias.detach().to(dtype), activation)
