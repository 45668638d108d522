"""The losses: cross-entropy that never holds all logits at once, label smoothing, unlikelihood against repeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK, GPU_CHUNK = 256, 4096  # rows of logits held at once: 50 or 800 MB in float32 at 49,152 words
SURE = 1 - 1e-4  # unlikelihood's logarithm stays finite below this probability
NOBODY = -1


@dataclass(frozen=True, slots=True)
class LossSettings:
    """``smoothing``: of the labels (Szegedy et al. 2016). ``unlikelihood``: weight of the penalty on words that would
    repeat an n-gram of the reply so far, ``repeat_ngram`` long (1: any word already said, as in Welleck et al. 2019).
    """

    smoothing: float = 0.0
    unlikelihood: float = 0.0
    repeat_ngram: int = 1


@dataclass(frozen=True, slots=True)
class PreferenceSettings:
    """``beta``: how far the weights may move for a pair (inverse temperature of the implicit reward). ``weight``: of a
    talk's pairs against a word of the talks. ``vague``: of a pair of sensible replies. ``talks``: judged ones a step.
    """

    beta: float = 0.2
    weight: float = 1.0
    vague: float = 0.5
    talks: int = 8


def repeats(decoder_ids: Tensor, labels: Tensor, ngram: int) -> Tensor:
    """(B, T) decoder input and labels -> (B, T, T) ids of the words that would repeat an n-gram at each position.

    The right word is never among them; places without a candidate hold NOBODY.
    """
    size = decoder_ids.shape[1]
    at = torch.arange(size, device=decoder_ids.device)
    found = (at[None, :] <= at[:, None])[None].expand(len(decoder_ids), -1, -1).clone()
    for back in range(1, ngram):
        earlier = F.pad(decoder_ids, (back, 0), value=NOBODY)[:, :size]  # the word `back` places before j
        newest = F.pad(decoder_ids, (back - 1, 0), value=NOBODY)[:, :size]  # the words that end at t
        found &= (earlier[:, None, :] == newest[:, :, None]) & (earlier[:, None, :] != NOBODY)
    said = decoder_ids[:, None, :].expand(-1, size, -1)
    return said.masked_fill(~found | (said == labels[:, :, None]), NOBODY)


def _seen(candidates: Tensor, words: int) -> Tensor:
    """(N, C) ids -> (N, V), 1 where a word is among the candidates."""
    table = torch.zeros(len(candidates), words + 1, device=candidates.device)
    return table.scatter_(1, torch.where(candidates == NOBODY, words, candidates), 1.0)[:, :words]


class _FrozenHeadLoss(torch.autograd.Function):
    """The weighted loss under a frozen output matrix; the gradient is made in the forward pass, chunk by chunk."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        head: Tensor,
        labels: Tensor,
        weights: Tensor,
        candidates: Tensor | None,
        settings: Any,
    ) -> Tensor:
        gradient, total = torch.empty_like(states), states.new_zeros((), dtype=torch.float32)
        size = CHUNK if states.device.type == "cpu" else GPU_CHUNK
        for at in range(0, len(states), size):
            rows = slice(at, at + size)
            some = None if candidates is None else candidates[rows]
            losses, residue = _loss_and_residue(states[rows] @ head.T, labels[rows, None], some, settings)
            total += (losses * weights[rows, None]).sum()
            gradient[rows] = residue.mul_(weights[rows, None]).to(states.dtype) @ head
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None, None, None, None


def _loss_and_residue(
    logits: Tensor, labels: Tensor, candidates: Tensor | None, settings: LossSettings
) -> tuple[Tensor, Tensor]:
    """(N, V) logits, (N, 1) labels -> (N, 1) losses and (N, V) derivatives by the logits."""
    smoothing, words = settings.smoothing, logits.shape[-1]
    logits = logits.float()
    logits -= logits.logsumexp(-1, keepdim=True)
    losses = -(1 - smoothing) * logits.gather(1, labels)
    if smoothing:
        losses -= smoothing * logits.mean(-1, keepdim=True)
    residue = logits.exp_()
    if candidates is not None:
        unwanted = (residue * _seen(candidates, words)).clamp_(max=SURE)
        losses -= settings.unlikelihood * torch.log1p(-unwanted).sum(-1, keepdim=True)
        odds = unwanted / (1 - unwanted)
        push = settings.unlikelihood * (odds - residue * odds.sum(-1, keepdim=True))
        residue = residue + push
    if smoothing:
        residue -= smoothing / words
    residue.scatter_add_(1, labels, torch.full_like(losses, smoothing - 1))
    return losses, residue


def reply_loss(
    states: Tensor,
    head: Tensor,
    labels: Tensor,
    weights: Tensor,
    candidates: Tensor | None = None,
    settings: LossSettings | None = None,
) -> Tensor:
    """(N, W) states, (V, W) output matrix, (N,) labels and weights, (N, C) unwanted ids -> the weighted sum of nats.

    A frozen matrix takes the lean path, which differs only by rounding.
    """
    settings = settings or LossSettings()
    if not head.requires_grad:
        apply: Any = _FrozenHeadLoss.apply
        result: Tensor = apply(states, head.to(states.dtype), labels, weights, candidates, settings)
        return result
    logits = F.linear(states, head).float()
    losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=settings.smoothing)
    if candidates is not None:
        unwanted = (logits.softmax(-1) * _seen(candidates, logits.shape[-1])).clamp(max=SURE)
        losses = losses - settings.unlikelihood * torch.log1p(-unwanted).sum(-1)
    return (losses * weights).sum()
