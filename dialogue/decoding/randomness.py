"""Random numbers that belong to one request alone: the same with any neighbours, on any device, in any batch."""

from __future__ import annotations

import torch
from torch import Tensor


def uniforms(seed: int, rows: int, steps: int) -> Tensor:
    """(rows, steps) numbers in [0, 1) in double precision, a row for each sample and a column for each of its tokens.

    The numbers of a row depend on the seed and the row's number only, not on how many rows there are.
    """
    generator = torch.Generator()
    numbers = []
    for row in range(rows):
        generator.manual_seed((seed + row * _STRIDE) % 2**63)
        numbers.append(torch.rand(steps, generator=generator, dtype=torch.double))
    return torch.stack(numbers)


_STRIDE = 0x9E3779B97F4A7C15
"""Odd and large, so that neighbouring seeds do not share rows."""
