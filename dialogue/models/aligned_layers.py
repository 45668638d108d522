"""One block of the layer-aligned network as it is run: fused and packed matrix products, with a judge's corrections.

Rows of the query and key projections are reordered so that each rotated pair lies side by side, one complex number;
the query carries the scale of attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.models.aligned import AlignedConfig
from dialogue.models.judge import Corrected
from dialogue.models.kernels import Kernels
from dialogue.models.linear import Linear


@dataclass(frozen=True, slots=True)
class Layer:
    """One block's weights, packed. ``context`` projects encoder states to keys and values; encoder layers lack it."""

    attention_gain: Tensor
    mlp_gain: Tensor
    qkv: Linear
    out: Linear
    gate_up: Linear
    down: Linear
    context: Linear | None


def packed_layer(config: AlignedConfig, tensors: Mapping[str, Tensor], prefix: str, kernels: Kernels) -> Layer:
    """The block whose tensors' names begin with ``prefix``, such as "decoder.layers.3."."""

    def get(name: str) -> Tensor:
        return tensors[f"{prefix}{name}.weight"].detach()

    size = config.head_dim
    query = _interleaved(get("self_attn.q_proj").float() * size**-0.5, size)
    key, value = _interleaved(get("self_attn.k_proj").float(), size), get("self_attn.v_proj").float()
    return Layer(
        attention_gain=get("input_layernorm").float(),
        mlp_gain=get("post_attention_layernorm").float(),
        qkv=kernels.pack(torch.cat((query, key, value))),
        out=kernels.pack(get("self_attn.o_proj")),
        gate_up=kernels.pack(torch.cat((get("mlp.gate_proj"), get("mlp.up_proj")))),
        down=kernels.pack(get("mlp.down_proj")),
        context=kernels.pack(torch.cat((key, value))) if prefix.startswith("decoder") else None,
    )


def corrected_shapes(config: AlignedConfig) -> dict[str, tuple[int, int]]:
    """(outputs, inputs) of a block's matrices that a judge may correct."""
    inner, hidden = (config.heads * config.head_dim, config.width), (config.hidden, config.width)
    return {
        "self_attn.q_proj": inner,
        "self_attn.o_proj": inner[::-1],
        "mlp.gate_proj": hidden,
        "mlp.up_proj": hidden,
        "mlp.down_proj": hidden[::-1],
    }


def corrected_layer(
    config: AlignedConfig, layer: Layer, corrections: Mapping[str, Tensor], prefix: str, dtype: torch.dtype
) -> Layer:
    """The same block with a judge's corrections beside its products; the block itself where it has none."""
    if not any(name.startswith(prefix) for name in corrections):
        return layer

    def get(name: str) -> tuple[Tensor, Tensor]:
        return corrections[f"{prefix}{name}.down"].float(), corrections[f"{prefix}{name}.up"].float()

    size = config.head_dim
    down, query = get("self_attn.q_proj")
    query = F.pad(_interleaved(query * size**-0.5, size), (0, 0, 0, 2 * config.kv_heads * size))
    (gate_down, gate), (up_down, up) = get("mlp.gate_proj"), get("mlp.up_proj")
    return replace(
        layer,
        qkv=Corrected(layer.qkv, down, query, dtype),
        out=Corrected(layer.out, *get("self_attn.o_proj"), dtype),
        gate_up=Corrected(layer.gate_up, torch.cat((gate_down, up_down)), _beside(gate, up), dtype),
        down=Corrected(layer.down, *get("mlp.down_proj"), dtype),
    )


def _beside(first: Tensor, second: Tensor) -> Tensor:
    """(A, R) and (B, Q) -> (A + B, R + Q) with each in its own corner."""
    return torch.cat((F.pad(first, (0, second.shape[1])), F.pad(second, (first.shape[1], 0))))


def _interleaved(weight: Tensor, head_dim: int) -> Tensor:
    """(heads * D, columns) with the two halves of each head's rows, which are rotated together, side by side."""
    rows, columns = weight.shape
    return weight.view(rows // head_dim, 2, head_dim // 2, columns).transpose(1, 2).reshape(rows, columns)
