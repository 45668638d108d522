"""Our network: a layer-aligned encoder–decoder made from a decoder-only language model. Training form, no caches.

Both stacks start as copies of one Llama-like model's blocks. Decoder layer ``i`` attends, in one softmax with one set
of key/value projections, over the *input* states of encoder layer ``i`` and over its own prefix; decoder positions
continue after the encoder's true length. With a causal encoder the whole equals the plain language model exactly;
with a bidirectional one every context token sees all the others. Since no decoder layer reads the output of the last
encoder layer, the encoder has one layer less.

After "Layer-Wise Coordination between Encoder and Decoder" (He et al., NeurIPS 2018); blocks as in Llama (Touvron et
al. 2023): RMSNorm, rotary positions (Su et al. 2021), grouped-query attention, SwiGLU, tied embeddings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialogue.errors import UserError

EncoderKind = Literal["causal", "bidirectional"]


@dataclass(frozen=True, slots=True)
class AlignedConfig:
    """Sizes of the network; ``layers`` counts the decoder's blocks, the encoder has one less."""

    vocab_size: int
    width: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_eps: float = 1e-5
    rope_theta: float = 100_000.0
    encoder: EncoderKind = "bidirectional"

    @staticmethod
    def from_llama(config: Mapping[str, Any], encoder: EncoderKind) -> AlignedConfig:
        """From the contents of a Llama checkpoint's ``config.json``."""
        heads = int(config["num_attention_heads"])
        rope = config.get("rope_parameters") or {}
        return AlignedConfig(
            vocab_size=int(config["vocab_size"]),
            width=int(config["hidden_size"]),
            hidden=int(config["intermediate_size"]),
            layers=int(config["num_hidden_layers"]),
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_dim=int(config.get("head_dim") or config["hidden_size"] // heads),
            norm_eps=float(config["rms_norm_eps"]),
            rope_theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            encoder=encoder,
        )


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a gain (Zhang and Sennrich 2019)."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> the same shape and type; the mean square is taken in float32."""
        wide = x.float()
        scale = torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (wide * scale).to(x.dtype) * self.weight.to(x.dtype)


class Rotary(nn.Module):
    """Angles of the rotary position embedding."""

    def __init__(self, head_dim: int, theta: float) -> None:
        super().__init__()
        exponents = torch.arange(0, head_dim, 2, dtype=torch.int64).float() / head_dim
        self.register_buffer("frequencies", 1.0 / theta**exponents, persistent=False)

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T) positions -> cosines and sines, each (B, 1, T, head_dim), float32."""
        frequencies: Tensor = self.frequencies  # type: ignore[assignment]
        half = positions[:, None, :, None].float() * frequencies
        angles = torch.cat((half, half), dim=-1)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """(B, heads, T, head_dim) turned by the angles of its positions."""
    cos, sin = angles
    first, second = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat((-second, first), dim=-1) * sin.to(x.dtype)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention; on CPU by plain products, whose backward pass is several times faster at dialogue lengths."""
    if query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    scores = torch.matmul(query * query.shape[-1] ** -0.5, key.transpose(-1, -2))
    return torch.matmul(scores.masked_fill(~mask, -torch.inf).softmax(-1), value)


class Attention(nn.Module):
    """Grouped-query attention of some states over others."""

    def __init__(self, config: AlignedConfig) -> None:
        super().__init__()
        self.head_dim, self.groups = config.head_dim, config.heads // config.kv_heads
        self.q_proj = nn.Linear(config.width, config.heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(config.width, config.kv_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(config.width, config.kv_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(config.heads * config.head_dim, config.width, bias=False)

    def forward(
        self, x: Tensor, seen: Tensor, angles: tuple[Tensor, Tensor], seen_angles: tuple[Tensor, Tensor], mask: Tensor
    ) -> Tensor:
        """(B, T, width) queries over (B, S, width) seen states where ``mask`` (B, 1, T, S) is true -> (B, T, width)."""
        query = rotate(self._heads(self.q_proj(x)), angles)
        key = rotate(self._heads(self.k_proj(seen)), seen_angles).repeat_interleave(self.groups, dim=1)
        value = self._heads(self.v_proj(seen)).repeat_interleave(self.groups, dim=1)
        mixed = attend(query, key, value, mask)
        joined: Tensor = self.o_proj(mixed.transpose(1, 2).flatten(2))
        return joined

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_dim).transpose(1, 2)


class MLP(nn.Module):
    """SwiGLU feed-forward (Shazeer 2020)."""

    def __init__(self, config: AlignedConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.up_proj = nn.Linear(config.width, config.hidden, bias=False)
        self.down_proj = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) -> (..., width)."""
        result: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return result


class Block(nn.Module):
    """One layer of either stack; the decoder's also sees the encoder's states."""

    def __init__(self, config: AlignedConfig) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_eps)
        self.mlp = MLP(config)

    def forward(
        self,
        x: Tensor,
        angles: tuple[Tensor, Tensor],
        mask: Tensor,
        memory: Tensor | None = None,
        all_angles: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """(B, T, width) -> the same; ``memory`` (B, S, width) comes before x among what is attended to."""
        normal = self.input_layernorm(x)
        seen = normal if memory is None else torch.cat((self.input_layernorm(memory), normal), dim=1)
        x = x + self.self_attn(normal, seen, angles, all_angles or angles, mask)
        result: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return result


class Stack(nn.Module):
    """The blocks of an encoder (no closing norm) or of a decoder."""

    def __init__(self, config: AlignedConfig, layers: int, closing_norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(layers))
        self.norm = RMSNorm(config.width, config.norm_eps) if closing_norm else None


@dataclass(frozen=True, slots=True)
class Sight:
    """Angles of the decoder's places, of all that they look at, and the (B, 1, T, S + T) mask of what they see."""

    angles: tuple[Tensor, Tensor]
    all_angles: tuple[Tensor, Tensor]
    mask: Tensor


class AlignedModel(nn.Module):
    """The encoder–decoder with tied embeddings.

    Parameters are named as in Llama, under ``embed``, ``encoder`` and ``decoder``: ``embed.weight``,
    ``encoder.layers.3.self_attn.q_proj.weight``, ``decoder.norm.weight``.
    """

    def __init__(self, config: AlignedConfig) -> None:
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(config.vocab_size, config.width)
        self.encoder = Stack(config, config.layers - 1, closing_norm=False)
        self.decoder = Stack(config, config.layers, closing_norm=True)
        self.rotary = Rotary(config.head_dim, config.rope_theta)
        self.recompute = False  # trade a second forward pass for memory (Chen et al. 2016)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_ids: Tensor) -> Tensor:
        """(B, S) right-padded context, its (B, S) mask and (B, T) decoder input -> (B, T, V) logits."""
        return F.linear(self.states(input_ids, attention_mask, decoder_ids), self.embed.weight)

    def states(self, input_ids: Tensor, attention_mask: Tensor, decoder_ids: Tensor) -> Tensor:
        """As :meth:`forward`, but the (B, T, width) states before the output embedding."""
        attention_mask = attention_mask.bool()
        memories = self.encode(input_ids, attention_mask)
        return self.decode(memories, attention_mask, decoder_ids)

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> list[Tensor]:
        """(B, S) ids and boolean mask -> the input states (B, S, width) of every layer, one for each decoder layer."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        mask = attention_mask[:, None, None, :].expand(-1, 1, input_ids.shape[1], -1)
        if self.config.encoder == "causal":
            mask = mask & (positions[0][:, None] >= positions[0][None, :])
        angles = self.rotary(positions)
        states = [self.embed(input_ids)]
        for block in self.encoder.layers:
            states.append(self._run(block, states[-1], angles, mask))
        return states

    def decode(self, memories: list[Tensor], attention_mask: Tensor, decoder_ids: Tensor) -> Tensor:
        """Every layer's memory (B, S, width), the memories' mask, (B, T) ids -> (B, T, width) final states."""
        places = torch.arange(decoder_ids.shape[1], device=decoder_ids.device).expand_as(decoder_ids)
        sight = self.sight(attention_mask, places, places[:, :, None] >= places[:, None, :])
        return self.closed(self.through(0, self.embed(decoder_ids), memories, sight))

    def sight(self, attention_mask: Tensor, places: Tensor, seen: Tensor) -> Sight:
        """What decoder states look at: all of a context (B, S) and, of their own row, where ``seen`` (B, T, T) is true.

        ``places`` (B, T) count from the context's end on.
        """
        positions = attention_mask.sum(-1, keepdim=True) + places
        before = torch.arange(attention_mask.shape[1], device=places.device).expand_as(attention_mask)
        context = attention_mask.bool()[:, None, :].expand(-1, places.shape[1], -1)
        mask = torch.cat((context, seen), dim=-1)[:, None]
        return Sight(self.rotary(positions), self.rotary(torch.cat((before, positions), dim=1)), mask)

    def through(self, first: int, x: Tensor, memories: Sequence[Tensor], sight: Sight) -> Tensor:
        """(B, T, width) states through as many decoder blocks, from number ``first`` on, as there are memories."""
        blocks = list(self.decoder.layers)[first : first + len(memories)]
        for block, memory in zip(blocks, memories, strict=True):
            x = self._run(block, x, sight.angles, sight.mask, memory, sight.all_angles)
        return x

    def closed(self, x: Tensor) -> Tensor:
        """(..., width) states after the last block, normalised."""
        assert self.decoder.norm is not None
        result: Tensor = self.decoder.norm(x)
        return result

    def _run(self, block: nn.Module, *inputs: Any) -> Tensor:
        if self.recompute and self.training:
            from torch.utils.checkpoint import checkpoint

            again: Tensor = checkpoint(block, *inputs, use_reentrant=False)
            return again
        result: Tensor = block(*inputs)
        return result


def aligned_names(config: AlignedConfig, llama_name: str) -> list[str]:
    """The names that a Llama checkpoint's tensor has in an AlignedModel: none, one, or one for each stack."""
    if llama_name == "model.embed_tokens.weight":
        return ["embed.weight"]
    if llama_name == "model.norm.weight":
        return ["decoder.norm.weight"]
    if not llama_name.startswith("model.layers."):
        return []
    rest = llama_name.removeprefix("model.")
    last = rest.startswith(f"layers.{config.layers - 1}.")
    return [f"decoder.{rest}"] if last else [f"encoder.{rest}", f"decoder.{rest}"]


def aligned_state(config: AlignedConfig, llama: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Llama checkpoint's tensors under this network's names; the two stacks share memory."""
    return {name: tensor for old, tensor in llama.items() for name in aligned_names(config, old)}


def load_llama(
    folder: Path, encoder: EncoderKind, dtype: torch.dtype | None = None
) -> tuple[AlignedConfig, dict[str, Tensor]]:
    """Configuration and tensors (this network's names) of a Llama checkpoint folder: memory-mapped, or in ``dtype``.

    Raises UserError when the folder holds no such checkpoint.
    """
    from safetensors.torch import load_file

    try:
        config = AlignedConfig.from_llama(json.loads((folder / "config.json").read_text(encoding="utf-8")), encoder)
        tensors = load_file(folder / "model.safetensors")
        if dtype is not None:
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        return config, aligned_state(config, tensors)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{folder} holds no Llama-like checkpoint that can be read: {error}.") from error


def aligned_from_llama(folder: Path, encoder: EncoderKind, dtype: torch.dtype = torch.float32) -> AlignedModel:
    """A network of its own memory, both stacks started from the checkpoint in ``folder``."""
    config, state = load_llama(folder, encoder)
    with torch.device("meta"):
        model = AlignedModel(config)
    model.rotary = Rotary(config.head_dim, config.rope_theta)
    model.load_state_dict({name: tensor.to(dtype, copy=True) for name, tensor in state.items()}, assign=True)
    return model
