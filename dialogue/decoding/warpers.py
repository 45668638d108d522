"""Reshaping a distribution before a token is drawn from it: temperature, top-k, nucleus, typical. For samplers only.

Each takes (N, V) scores in nats (minus infinity: impossible) and returns new ones; at least one token of every row that
has one is kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dialogue.decoding.config import DecodingConfig
from dialogue.errors import UserError

Warper = Callable[[Tensor], Tensor]


class Temperature:
    """``scores / temperature``: below 1 sharper, above 1 flatter (Ackley et al. 1985)."""

    def __init__(self, temperature: float) -> None:
        if not temperature > 0:
            raise UserError(f"temperature must be above 0, not {temperature}; for no randomness use greedy.")
        self.temperature = temperature

    def __call__(self, scores: Tensor) -> Tensor:
        """(N, V) -> (N, V)."""
        return scores / self.temperature


class TopK:
    """Only the ``k`` best tokens, and those level with the last of them (Fan et al. 2018)."""

    def __init__(self, k: int) -> None:
        if k < 1:
            raise UserError(f"top_k must be at least 1 token, not {k}; 0 in the settings switches it off.")
        self.k = k

    def __call__(self, scores: Tensor) -> Tensor:
        """(N, V) -> (N, V)."""
        last = scores.topk(min(self.k, scores.shape[-1]), dim=-1).values[:, -1:]
        return scores.masked_fill(scores < last, -torch.inf)


class TopP:
    """The nucleus: the fewest best tokens whose probabilities reach ``p`` (Holtzman et al. 2020, section 3.1)."""

    def __init__(self, p: float) -> None:
        if not 0 < p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {p}.")
        self.p = p

    def __call__(self, scores: Tensor) -> Tensor:
        """(N, V) -> (N, V)."""
        ordered, order = scores.sort(dim=-1, descending=True, stable=True)
        probs = ordered.double().softmax(dim=-1)
        before = probs.cumsum(dim=-1) - probs
        return scores.masked_fill(_unsorted(before >= self.p, order), -torch.inf)


class Typical:
    """Tokens whose information is nearest the distribution's entropy, until they reach mass ``p``.

    Meister et al. 2022, "Locally Typical Sampling": order by ``|H + log p(y)|``.
    """

    def __init__(self, p: float) -> None:
        if not 0 < p <= 1:
            raise UserError(f"typical_p must be above 0 and at most 1, not {p}.")
        self.p = p

    def __call__(self, scores: Tensor) -> Tensor:
        """(N, V) -> (N, V)."""
        log_probs = scores.double().log_softmax(dim=-1)
        entropy = -(log_probs.exp() * log_probs).nansum(dim=-1, keepdim=True)
        _, order = (log_probs + entropy).abs().sort(dim=-1, stable=True)
        probs = log_probs.gather(-1, order).exp()
        before = probs.cumsum(dim=-1) - probs
        return scores.masked_fill(_unsorted(before >= self.p, order), -torch.inf)


def _unsorted(mask: Tensor, order: Tensor) -> Tensor:
    """A (N, V) mask over sorted tokens, put back in vocabulary order; the first token is never masked."""
    mask[:, 0] = False
    return torch.zeros_like(mask).scatter(1, order, mask)


def warpers_for(config: DecodingConfig) -> tuple[Warper, ...]:
    """The warpers a configuration asks for, in the order that transformers applies them."""
    warpers: list[Warper] = []
    if config.temperature != 1.0:
        warpers.append(Temperature(config.temperature))
    if config.top_k:
        warpers.append(TopK(config.top_k))
    if config.top_p < 1.0:
        warpers.append(TopP(config.top_p))
    if config.typical_p < 1.0:
        warpers.append(Typical(config.typical_p))
    return tuple(warpers)


def warp(scores: Tensor, warpers: tuple[Warper, ...]) -> Tensor:
    """All of them in turn."""
    for warper in warpers:
        scores = warper(scores)
    return scores


def draw(scores: Tensor, uniforms: Tensor) -> Tensor:
    """One token a row by inverting its cumulative distribution: (N, V) scores, (N,) numbers in [0, 1) -> (N,) ids.

    One number decides a token, so a row's draw depends on its own number and scores alone. The vocabulary keeps its
    order: two tokens of nearly equal rank cannot trade places.
    """
    cumulative = scores.double().softmax(dim=-1).cumsum(dim=-1)
    target = uniforms.double()[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, target, right=True).squeeze(1).clamp(max=scores.shape[-1] - 1)
