"""How long hypotheses compare with short ones: the divisor of a summed log-probability. Knows nothing of tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from dialogue.decoding.config import LengthPenalty


def plain(lengths: Tensor, alpha: float) -> Tensor:
    """``length ** alpha`` for (…,) lengths in tokens; 0 switches it off, 1 gives the mean log-probability.

    Length normalisation as compared by Murray and Chiang 2018; the form of transformers' ``length_penalty``. Worked out
    in double precision and rounded once, so that it does not depend on the shape it is computed in.
    """
    return (lengths.double() ** alpha).float()


def gnmt(lengths: Tensor, alpha: float) -> Tensor:
    """``((5 + length) / 6) ** alpha``: Wu et al. 2016, "Google's Neural Machine Translation System", equation 14."""
    return (((5.0 + lengths.double()) / 6.0) ** alpha).float()


def divisor(kind: LengthPenalty, lengths: Tensor, alpha: float) -> Tensor:
    """What a hypothesis of each of the (…,) lengths is divided by; same shape, float32, above 0."""
    return gnmt(lengths, alpha) if kind is LengthPenalty.GNMT else plain(lengths, alpha)


def divisor_of(kind: LengthPenalty, length: int, alpha: float) -> float:
    """The same for one length."""
    return float(divisor(kind, torch.tensor(length), alpha))
