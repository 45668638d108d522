"""int8 matrix products: weights rounded per output channel when loaded, activations per row as they come.

Each row has its own scale, so what one conversation says never changes another's rounding (torch's own dynamic
quantisation has one scale for the whole batch). An option, not the default. Measured on 50 replies of held-out talks
(549 tokens, the base model): 3.428 nats a token in float32, 3.428 in bfloat16, 3.458 with int8 inside the blocks; 3.467
with the projection to the vocabulary in int8 as well, which is why its best words are rated again unrounded; 3.462 with
the second feed-forward matrix kept wide, so that one is not.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.decoding.topk import top
from dialogue.models.linear import PLAIN_ACTIVATIONS, Int8Product, Linear, int8_works

LARGEST = 127
ZERO_POINT = 128
_HALF_UP = torch.tensor(ZERO_POINT + 0.5)


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(O, I) weight -> its int8 codes and the (O,) float32 scales with ``weight ~ codes * scales[:, None]``."""
    wide = weight.detach().float()
    scales = wide.abs().amax(1).clamp_min_(1e-12).div_(LARGEST)
    return (wide / scales[:, None]).round_().to(torch.int8), scales


def row_codes(x: Tensor) -> tuple[Tensor, Tensor]:
    """(N, I) float32 activations -> unsigned codes around 128, (N, 1) scales with ``x ~ (codes - 128) * scales``."""
    scales = x.abs().amax(-1, keepdim=True).clamp_min_(1e-12).mul_(1 / LARGEST)
    return torch.addcdiv(_HALF_UP, x, scales).to(torch.uint8), scales


class PlainInt8Product:
    """What Int8Product computes, by public operators: exact, small in memory, not fast."""

    def __init__(self, weight: Tensor, scales: Tensor) -> None:
        self._weight, self._scales = weight, scales

    def __call__(self, codes: Tensor) -> Tensor:
        """(N, I) codes -> (N, O) float32."""
        return F.linear(codes.float() - ZERO_POINT, self._weight.float()) * self._scales


class Int8Linear:
    """A linear map with int8 weights and int8 activations, float32 in and out."""

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: str | None) -> None:
        codes, scales = quantised(weight)
        self._product = Int8Product(codes, scales) if int8_works() else PlainInt8Product(codes, scales)
        self._bias = torch.zeros(1) if bias is None else bias.detach().float().clone()
        self._activation = PLAIN_ACTIVATIONS[activation]
        self._outputs = len(codes)

    def __call__(self, x: Tensor) -> Tensor:
        """(…, I) -> (…, O)."""
        codes, scales = row_codes(x.reshape(-1, x.shape[-1]))
        y = torch.addcmul(self._bias, self._product(codes), scales)
        return self._activation(y).view(*x.shape[:-1], self._outputs)


def int8_linear(weight: Tensor, bias: Tensor | None = None, activation: str | None = None) -> Linear:
    """A product inside a block; see :class:`Int8Linear`."""
    return Int8Linear(weight, bias, activation)


CANDIDATES = 32
"""Words a row whose scores are worked out anew from the unrounded weights: more than a step of ten beams looks at."""


class ScreenedHead:
    """The projection to the vocabulary: all words in int8, then the best ones again with the weights as they were.

    Rounding there would move the choice between words itself; of the words that a search chooses between, it does not.
    """

    def __init__(self, read: Callable[[], Tensor], bias: Tensor | None, table: Tensor | None = None) -> None:
        """``read`` gives the (V, I) weight; ``table``, where there is one, holds the same and is kept in its stead."""
        self._all = Int8Linear(read(), bias, None)
        self._weight = read().detach() if table is None else table
        self._bias = None if bias is None else bias.detach().float()

    def __call__(self, x: Tensor) -> Tensor:
        """(N, I) -> (N, V) float32."""
        y = self._all(x)
        best = top(y, min(CANDIDATES, y.shape[1]))[1]
        exact = (F.embedding(best, self._weight).float() @ x[..., None].float()).squeeze(-1)
        return y.scatter_(1, best, exact if self._bias is None else exact + self._bias[best])
