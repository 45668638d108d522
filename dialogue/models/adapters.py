"""What adapters are once they are trained: tensors that are merged into the base's weights before use.

An adapter of a matrix ``W`` is a pair ``<name>.down`` (rank, inputs) and ``<name>.up`` (outputs, rank); the merged
weight is ``W + up @ down`` (Hu et al. 2021, the scale already inside ``up``). Tensors under a weight's own name
replace it. Training them is the business of :mod:`dialogue.training`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dialogue.errors import UserError

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def merged_weight(weight: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """(O, I) weight, (R, I) down, (O, R) up -> (O, I) in the weight's own type; the sum is taken in float32."""
    return torch.addmm(weight.float(), up.float(), down.float()).to(weight.dtype)


def merged_state(base: Mapping[str, Tensor], adapters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The base's tensors (an AlignedModel's names) with the adapters merged in; untouched tensors are passed through.

    Raises UserError when the adapters belong to a network of another shape.
    """
    check_belongs(base, adapters)
    merged = dict(base)
    for name, tensor in adapters.items():
        stem = name.removesuffix(".down")
        if name.endswith(".down"):
            weight = f"{stem}.weight"
            merged[weight] = merged_weight(base[weight], tensor, adapters[f"{stem}.up"])
        elif name in base:
            merged[name] = tensor.to(base[name].dtype)
    return merged


def check_belongs(base: Mapping[str, Tensor], adapters: Mapping[str, Tensor]) -> None:
    """Raise UserError unless every adapter has its other half and a weight of the right shape to go to."""
    for name, tensor in adapters.items():
        stem, _, half = name.rpartition(".")
        target = base.get(f"{stem}.weight")
        if half == "weight":
            fits = target is not None and target.shape == tensor.shape
        elif half == "down":
            fits = target is not None and f"{stem}.up" in adapters and tensor.shape[1] == target.shape[1]
        else:
            other = adapters.get(f"{stem}.down")
            fits = target is not None and other is not None and tensor.shape == (target.shape[0], other.shape[0])
        if not fits:
            raise UserError(f"These adapters belong to another base model: {name} does not fit.")
