"""Low-rank adapters (Hu et al. 2021) over a frozen base that encoder and decoder share, and their merging.

What an adapter changes is ``W + (alpha / rank) · up @ down``; the gains of the norms may be trained beside them as
they are. Files and model cards are the business of :mod:`dialogue.training.export`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialogue.models.adapters import MATRICES
from dialogue.models.aligned import AlignedModel, RMSNorm


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Which matrices get adapters of which rank; ``alpha / rank`` scales them."""

    rank: int = 32
    alpha: float = 32.0
    matrices: tuple[str, ...] = MATRICES
    norms: bool = True


class LowRankLinear(nn.Module):
    """A frozen linear map with a trainable low-rank correction that starts at zero."""

    def __init__(self, frozen: nn.Linear, config: AdapterConfig) -> None:
        super().__init__()
        self.weight = frozen.weight.requires_grad_(False)
        outputs, inputs = frozen.weight.shape
        self.scale = config.alpha / config.rank
        self.down = nn.Parameter(torch.empty(config.rank, inputs, device=frozen.weight.device))
        self.up = nn.Parameter(torch.zeros(outputs, config.rank, device=frozen.weight.device))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        small = F.linear(x, self.down.to(x.dtype))
        return F.linear(x, self.weight.to(x.dtype)) + F.linear(small, (self.up * self.scale).to(x.dtype))


def attach(model: nn.Module, config: AdapterConfig) -> None:
    """Freeze the model and give every chosen matrix in it an adapter; the norms stay trainable if asked."""
    model.requires_grad_(False)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if name in config.matrices and isinstance(child, nn.Linear):
                setattr(module, name, LowRankLinear(child, config))
    for module in model.modules():
        if isinstance(module, RMSNorm) and config.norms:
            module.weight = nn.Parameter(module.weight.to(torch.float32, copy=True))  # the stacks share the base's


def adapter_state(model: AlignedModel) -> dict[str, Tensor]:
    """The trained tensors, detached: ``….q_proj.down``, ``….q_proj.up`` (scaled), and the norms' gains."""
    state = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    for name, module in model.named_modules():
        if isinstance(module, LowRankLinear):
            state[f"{name}.up"] = state[f"{name}.up"] * module.scale
    return state


def load_adapter_state(model: AlignedModel, state: Mapping[str, Tensor]) -> None:
    """Put tensors made by :func:`adapter_state` back into a model with the same adapters attached."""
    modules = dict(model.named_modules())
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                owner = modules[name.rpartition(".")[0]]
                scale = owner.scale if isinstance(owner, LowRankLinear) and name.endswith(".up") else 1.0
                parameter.copy_(state[name].to(parameter.dtype) / scale)
