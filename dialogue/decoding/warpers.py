"""Reshaping a distribution before a token is drawn from it: temperature, top-k, nucleus, typical. For samplers only.

Each takes (N, V) scores in nats (minus infinity: impossible) and returns new ones; at least one token of every row that
has one is kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.topk import BLOCK, top
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
        last = top(scores, min(self.k, scores.shape[-1]))[0][:, -1:]
        return scores.masked_fill(scores < last, -torch.inf)


class TopP:
    """The nucleus: the fewest best tokens whose probabilities reach ``p`` (Holtzman et al. 2020, section 3.1)."""

    def __init__(self, p: float) -> None:
        if not 0 < p <= 1:
            raise UserError(f"top_p must be above 0 and at most 1, not {p}.")
        self.p = p

    def __call__(self, scores: Tensor) -> Tensor:
        """(N, V) -> (N, V)."""
        if self.p == 1:  # all of them: sums of rounded probabilities may reach 1 early
            return scores
        return scores.masked_fill(~_first_reaching(self.p, scores, scores.softmax(dim=-1)), -torch.inf)


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
        log_probs = scores.log_softmax(dim=-1)
        probs = log_probs.exp()
        entropy = -(probs * log_probs).nansum(dim=-1, keepdim=True)
        nearness = -(log_probs + entropy).abs()
        return scores.masked_fill(~_first_reaching(self.p, nearness, probs), -torch.inf)


FEW = 1024
"""So many tokens are sorted at first; the whole vocabulary only for rows whose mass they do not reach."""


def _first_reaching(p: float, preference: Tensor, probs: Tensor) -> Tensor:
    """(N, V) mask of the tokens that come first by preference, until their probabilities reach ``p``; one at least."""
    few = min(FEW, preference.shape[1])
    order = preference.topk(few, dim=-1).indices
    kept = _until(p, order, probs)
    short = (
        (probs.gather(1, order).double().sum(dim=-1) < p) if few < preference.shape[1] else kept.new_zeros(len(kept))
    )
    if bool(short.any()):
        whole = preference[short].sort(dim=-1, descending=True, stable=True).indices
        kept[short] = _until(p, whole, probs[short])
    return kept


def _until(p: float, order: Tensor, probs: Tensor) -> Tensor:
    """The mask for one order of (some of) the tokens: (N, few) ids and (N, V) probabilities -> (N, V)."""
    ordered = probs.gather(1, order).double()
    wanted = ordered.cumsum(dim=-1) - ordered < p
    wanted[:, 0] = True
    return torch.zeros_like(probs, dtype=torch.bool).scatter_(1, order, wanted)


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
    order: two tokens of nearly equal rank cannot trade places. The sum is first followed in blocks, then in one block.
    """
    weights = scores.softmax(dim=-1)
    sums = _block_sums(weights).cumsum(dim=-1)
    target = uniforms.double()[:, None] * sums[:, -1:]
    block = _passing(sums, target)
    before = torch.where(block > 0, sums.gather(1, (block - 1).clamp(min=0)), 0.0)
    places = block * BLOCK + torch.arange(BLOCK, device=block.device)
    inside = torch.where(places < scores.shape[1], weights.gather(1, places.clamp(max=scores.shape[1] - 1)), 0.0)
    token = places.gather(1, _passing(inside.double().cumsum(dim=-1), target - before)).squeeze(1)
    return token.clamp(max=scores.shape[1] - 1)  # a row without any possible token gives some token


def _block_sums(weights: Tensor) -> Tensor:
    """(N, V) -> (N, blocks) sums in double precision; the last block may be shorter."""
    whole = weights.shape[1] // BLOCK * BLOCK
    sums = weights[:, :whole].reshape(len(weights), -1, BLOCK).sum(dim=-1)
    return torch.cat([sums, weights[:, whole:].sum(dim=-1, keepdim=True)], dim=1).double()


def _passing(sums: Tensor, target: Tensor) -> Tensor:
    """(N, 1) first place where an (N, M) running sum passes the (N, 1) target, at the latest where it stops growing."""
    below = torch.nextafter(sums[:, -1:], torch.zeros_like(target))
    return torch.searchsorted(sums, torch.minimum(target, below), right=True).clamp(max=sums.shape[1] - 1)
