"""BART and its relatives BlenderBot and BlenderbotSmall, natively: encode once, then token by token.

One network for three families (Lewis et al. 2020; Roller et al. 2020), which differ in where the normalisations stand
and how positions are counted. Written for speed as aligned_decoding.py is; equal to transformers' logits in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.attention import attend
from dialogue.models.caches import ContextCache, PrefixCache, RowGroups, SearchState
from dialogue.models.chat_model import ChatModel
from dialogue.models.checkpoint import fingerprint, read_tensors
from dialogue.models.families import read_settings, seq2seq_reading
from dialogue.models.kernels import Kernels, choose_kernels
from dialogue.models.linear import Linear
from dialogue.models.memory import keep_freed_memory
from dialogue.models.trees import picked

Norm = Callable[[Tensor], Tensor]

CLASS_DEFAULTS: dict[str, dict[str, Any]] = {
    "bart": {
        "decoder_start_token_id": 2, "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "forced_eos_token_id": 2,
    },
    "blenderbot": {
        "decoder_start_token_id": 1, "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": 2,
        "forced_eos_token_id": 2, "encoder_no_repeat_ngram_size": 3,
    },
    "blenderbot-small": {
        "decoder_start_token_id": 1, "bos_token_id": 1, "pad_token_id": 0, "eos_token_id": 2, "forced_eos_token_id": 2,
    },
}  # fmt: skip
"""What transformers' configuration classes assume where a checkpoint's ``config.json`` is silent."""


@dataclass(frozen=True, slots=True)
class BartConfig:
    """Sizes and the four ways in which the families differ."""

    vocab_size: int
    width: int
    encoder_layers: int
    decoder_layers: int
    encoder_heads: int
    decoder_heads: int
    activation: str
    embedding_scale: float
    pre_norm: bool  # BlenderBot normalises before each sublayer and once at the end; the others after each
    embedding_norm: bool  # BART and BlenderbotSmall normalise the embeddings
    norm_before_positions: bool  # …in BlenderbotSmall's decoder before the positions are added
    position_offset: int  # BART's first position is number 2

    @staticmethod
    def from_settings(settings: Mapping[str, Any]) -> BartConfig:
        """From the contents of ``config.json``; raises UserError where they describe something else."""
        family, width = settings["model_type"], int(settings["d_model"])
        activation = str(settings.get("activation_function", "gelu"))
        if activation not in ("gelu", "relu", "silu"):
            raise UserError(f"The checkpoint's activation_function {activation!r} is not one that is known here.")
        return BartConfig(
            vocab_size=int(settings["vocab_size"]),
            width=width,
            encoder_layers=int(settings["encoder_layers"]),
            decoder_layers=int(settings["decoder_layers"]),
            encoder_heads=int(settings["encoder_attention_heads"]),
            decoder_heads=int(settings["decoder_attention_heads"]),
            activation=activation,
            embedding_scale=math.sqrt(width) if settings.get("scale_embedding") else 1.0,
            pre_norm=family == "blenderbot",
            embedding_norm=family != "blenderbot",
            norm_before_positions=family == "blenderbot-small",
            position_offset=2 if family == "bart" else 0,
        )


@dataclass(frozen=True, slots=True)
class _Layer:
    """One block's weights. The decoder's also have a second attention, over the context."""

    qkv: Linear
    out: Linear
    norm: Norm
    fc1: Linear
    fc2: Linear
    fc_norm: Norm
    cross_q: Linear | None = None
    cross_kv: Linear | None = None
    cross_out: Linear | None = None
    cross_norm: Norm | None = None


class BartSeq2Seq:
    """The JoinableSeq2Seq and TreeSeq2Seq protocols over a BART-like checkpoint's tensors."""

    def __init__(self, config: BartConfig, tensors: Mapping[str, Tensor], kernels: Kernels) -> None:
        """``tensors`` carry transformers' names; raises KeyError for one that is missing."""
        self.vocab_size = config.vocab_size
        self._config, self._dtype, self._pack, self._tensors = config, kernels.dtype, kernels.pack, tensors
        names = ("shared.weight", "encoder.embed_tokens.weight")
        bias = tensors.get("final_logits_bias")
        untied = "lm_head.weight" in tensors
        self._embedding = kernels.table(self._get(*names))
        self._head = kernels.pack_head(
            lambda: tensors["lm_head.weight"] if untied else self._get(*names),
            None if bias is None else bias.detach().view(-1),
            None if untied else self._embedding,
        )
        self._positions = {side: self._get(f"{side}.embed_positions.weight").float() for side in ("encoder", "decoder")}
        sides = ("encoder", "decoder")
        self._first_norm = {side: self._norm(f"{side}.layernorm_embedding") for side in sides if config.embedding_norm}
        self._last_norm = {side: self._norm(f"{side}.layer_norm") for side in sides if config.pre_norm}
        self._encoder = [
            self._layer(f"encoder.layers.{i}.", config.encoder_heads) for i in range(config.encoder_layers)
        ]
        self._decoder = [
            self._layer(f"decoder.layers.{i}.", config.decoder_heads) for i in range(config.decoder_layers)
        ]
        del self._tensors
        keep_freed_memory()

    # --- encoding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> SearchState:
        """(B, S) ids and mask, right-padded -> the state of B rows, one a conversation."""
        config, (batch, size) = self._config, input_ids.shape
        visible = attention_mask[:, None, None, :].bool()
        x = self._embed(input_ids, torch.arange(size), "encoder")
        for layer in self._encoder:
            x = self._sublayer(x, layer.norm, lambda h, layer=layer: self._encoder_attention(layer, h, visible))  # type: ignore[misc]
            x = self._sublayer(x, layer.fc_norm, lambda h, layer=layer: layer.fc2(layer.fc1(h)))  # type: ignore[misc]
        encoded = self._finished(x, "encoder").to(self._dtype)
        heads, head_dim = config.decoder_heads, config.width // config.decoder_heads
        values = torch.empty(config.decoder_layers, 2, batch, heads, size, head_dim)
        for i, layer in enumerate(self._decoder):
            assert layer.cross_kv is not None
            values[i] = layer.cross_kv(encoded).view(batch, size, 2, heads, head_dim).permute(2, 0, 3, 1, 4)
        prefix = PrefixCache(config.decoder_layers, batch, heads, head_dim)
        steps = torch.zeros(batch, dtype=torch.int64)
        return SearchState.start(ContextCache(values, attention_mask.sum(-1)), prefix, steps)

    def _encoder_attention(self, layer: _Layer, h: Tensor, visible: Tensor) -> Tensor:
        qkv = layer.qkv(h).view(*h.shape[:2], 3, self._config.encoder_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2], attn_mask=visible, scale=1.0)
        return layer.out(mixed.transpose(1, 2).flatten(2))

    # --- decoding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def step(self, last_ids: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """(N,) newest ids -> (N, V) float32 log-probabilities of the next token, and the state after them."""
        state.prefix.open()
        log_probs = self._log_probs(self._states(last_ids, state))
        state.positions = state.positions + 1
        return log_probs, state

    @torch.inference_mode()
    def read_trees(self, tokens: Tensor, above: Tensor, state: SearchState, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the (M, 2) pairs (row, next token) asked for, and whether they are the likeliest."""
        state.positions = state.positions + state.prefix.plant(above)
        return picked(self._log_probs, self._states(tokens, state), asked)

    def _states(self, ids: Tensor, state: SearchState) -> Tensor:
        """(N,) ids whose cells are chosen -> their (N, width) last states."""
        x = self._embed(ids, state.positions, "decoder")
        for i, layer in enumerate(self._decoder):
            x = self._decoder_layer(i, layer, x, state)
        return self._finished(x, "decoder").to(self._dtype)

    def _log_probs(self, states: Tensor) -> Tensor:
        """(N, width) -> (N, V) float32."""
        return F.log_softmax(self._head(states), dim=-1, dtype=torch.float32)

    def _decoder_layer(self, i: int, layer: _Layer, x: Tensor, state: SearchState) -> Tensor:
        """(N, width) -> (N, width): over the row's own prefix, over its context, then feed-forward."""
        assert layer.cross_norm is not None
        x = self._sublayer(x, layer.norm, lambda h: self._own_attention(i, layer, h, state.prefix))
        x = self._sublayer(x, layer.cross_norm, lambda h: self._context_attention(i, layer, h, state))
        return self._sublayer(x, layer.fc_norm, lambda h: layer.fc2(layer.fc1(h)))

    def _own_attention(self, i: int, layer: _Layer, h: Tensor, prefix: PrefixCache) -> Tensor:
        qkv = layer.qkv(h).float().view(len(h), 3, self._config.decoder_heads, -1)
        keys, values = prefix.write(i, qkv[:, 1:])
        return layer.out(self._mixed(qkv[:, 0], keys, values, prefix.groups, prefix.bias))

    def _context_attention(self, i: int, layer: _Layer, h: Tensor, state: SearchState) -> Tensor:
        assert layer.cross_q is not None
        assert layer.cross_out is not None
        query = layer.cross_q(h).float().view(len(h), self._config.decoder_heads, -1)
        return layer.cross_out(self._mixed(query, *state.context.layer(i), state.groups, state.context.bias))

    def _mixed(self, query: Tensor, keys: Tensor, values: Tensor, groups: RowGroups, bias: Tensor | None) -> Tensor:
        """(N, H, D) queries over what their groups share -> (N, width) in the computing dtype."""
        mixed = groups.collect(attend(groups.spread(query), keys, values, bias))
        return mixed.to(self._dtype, memory_format=torch.contiguous_format).flatten(1)

    @torch.inference_mode()
    def reorder(self, state: SearchState, rows: Tensor) -> SearchState:
        """(M,) old row indices -> the state whose row m continues old row rows[m]."""
        return state.reorder(rows)

    @torch.inference_mode()
    def join(self, first: SearchState, second: SearchState) -> SearchState:
        """One state with the rows of ``first`` and then those of ``second``, each at its own step."""
        return first.beside(second)

    # --- parts ------------------------------------------------------------------------------------------------------

    def _embed(self, ids: Tensor, positions: Tensor, side: str) -> Tensor:
        """Token and position embeddings, float32, normalised where the family does so."""
        config = self._config
        x = F.embedding(ids, self._embedding).float() * config.embedding_scale
        places = self._positions[side][positions + config.position_offset]
        if not config.embedding_norm:
            return x + places
        if side == "decoder" and config.norm_before_positions:
            return self._first_norm[side](x) + places
        return self._first_norm[side](x + places)

    def _sublayer(self, x: Tensor, norm: Norm, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Residual and normalisation around a sublayer; states are float32, the sublayer's input is ``dtype``."""
        if self._config.pre_norm:
            return x + compute(norm(x).to(self._dtype))
        return norm(x + compute(x.to(self._dtype)))

    def _finished(self, x: Tensor, side: str) -> Tensor:
        return self._last_norm[side](x) if self._config.pre_norm else x

    # --- reading weights --------------------------------------------------------------------------------------------

    def _get(self, *names: str) -> Tensor:
        for name in names:
            for full in (f"model.{name}", name):
                if full in self._tensors:
                    return self._tensors[full].detach()
        raise KeyError(names[0])

    def _norm(self, name: str) -> Norm:
        gain, bias = self._get(f"{name}.weight").float(), self._get(f"{name}.bias").float()
        return lambda x: F.layer_norm(x, gain.shape, gain, bias)

    def _linear(self, *names: str, scale_first: float = 1.0, activation: str | None = None) -> Linear:
        """The projections called ``names`` as one product; the first one's outputs are scaled."""
        weights = [self._get(f"{name}.weight").float() for name in names]
        biases = [self._get(f"{name}.bias").float() for name in names]
        weights[0], biases[0] = weights[0] * scale_first, biases[0] * scale_first
        return self._pack(torch.cat(weights), torch.cat(biases), activation)

    def _layer(self, prefix: str, heads: int) -> _Layer:
        scale = (self._config.width // heads) ** -0.5
        own, cross = f"{prefix}self_attn.", f"{prefix}encoder_attn."
        both = prefix.startswith("decoder")
        return _Layer(
            qkv=self._linear(f"{own}q_proj", f"{own}k_proj", f"{own}v_proj", scale_first=scale),
            out=self._linear(f"{own}out_proj"),
            norm=self._norm(f"{prefix}self_attn_layer_norm"),
            fc1=self._linear(f"{prefix}fc1", activation=self._config.activation),
            fc2=self._linear(f"{prefix}fc2"),
            fc_norm=self._norm(f"{prefix}final_layer_norm"),
            cross_q=self._linear(f"{cross}q_proj", scale_first=scale) if both else None,
            cross_kv=self._linear(f"{cross}k_proj", f"{cross}v_proj") if both else None,
            cross_out=self._linear(f"{cross}out_proj") if both else None,
            cross_norm=self._norm(f"{prefix}encoder_attn_layer_norm") if both else None,
        )


def load_bart(folder: Path, name: str, dtype: str = "auto") -> ChatModel:
    """A BART, BlenderBot or BlenderbotSmall checkpoint, ready to chat; raises UserError where it is damaged."""
    from dialogue.models.huggingface import load_vocabulary

    raw = read_settings(folder, {})
    settings = read_settings(folder, CLASS_DEFAULTS[raw["model_type"]])
    vocabulary = load_vocabulary(folder)
    reading = seq2seq_reading(vocabulary, settings)
    try:
        network = BartSeq2Seq(BartConfig.from_settings(settings), read_tensors(folder), choose_kernels(dtype))
    except (KeyError, RuntimeError, ValueError) as error:
        raise UserError(f"The weights in {folder} do not fit its configuration ({error}); get them again.") from error
    longest = int(settings["max_position_embeddings"])
    return ChatModel(
        name=name,
        seq2seq=network,
        vocabulary=vocabulary,
        context_format=reading.context_format,
        start_id=reading.start_id,
        eos_id=reading.eos_id,
        pad_id=reading.pad_id,
        max_context=min(longest, 512),
        max_reply=min(longest, reading.defaults.max_length),
        defaults=reading.defaults,
        languages=reading.languages,
        fingerprint=fingerprint(folder, dtype),
    )
