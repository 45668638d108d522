"""The layer-aligned network (dialogue/models/aligned.py) as a search drives it: encode once, then token by token.

The same function as the training form, written for speed: packed weights, fused projections, one set of context keys
and values for a conversation, whatever the number of its hypotheses. States between layers, attention and the final
log-probabilities are float32; the kernels say how matrices are multiplied. Knows nothing of texts or of searching.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.models.aligned import AlignedConfig
from dialogue.models.aligned_layers import Layer, corrected_layer, corrected_shapes, packed_layer
from dialogue.models.attention import joint_attention
from dialogue.models.caches import ContextCache, PrefixCache, SearchState
from dialogue.models.judge import Judge, check_fits
from dialogue.models.kernels import Kernels
from dialogue.models.memory import keep_freed_memory
from dialogue.models.trees import picked


class AlignedSeq2Seq:
    """The JoinableSeq2Seq, TreeSeq2Seq and JudgingSeq2Seq protocols over the tensors of an AlignedModel."""

    def __init__(
        self,
        config: AlignedConfig,
        tensors: Mapping[str, Tensor],
        kernels: Kernels,
        *,
        shared: bool = False,
        judge: Judge | None = None,
    ) -> None:
        """``tensors`` carry an AlignedModel's names and are read one at a time.

        ``shared`` says that the encoder's blocks are the decoder's own, which halves the memory. ``judge``
        scores whole replies.
        """
        self.vocab_size = config.vocab_size
        self._config, self._dtype = config, kernels.dtype
        self._rope = torch.empty(0, config.head_dim // 2, dtype=torch.complex64)
        self._final_gain = tensors["decoder.norm.weight"].detach().float()
        self._embedding = kernels.table(tensors["embed.weight"].detach())
        self._head = kernels.pack_head(lambda: tensors["embed.weight"].detach(), None, self._embedding)
        self._decoder = [packed_layer(config, tensors, f"decoder.layers.{i}.", kernels) for i in range(config.layers)]
        self._encoder = self._decoder[:-1]
        if not shared:
            names = [f"encoder.layers.{i}." for i in range(config.layers - 1)]
            self._encoder = [packed_layer(config, tensors, name, kernels) for name in names]
        self._judge = None if judge is None else judge.vector.view(config.width)
        self._judging = [] if judge is None else self._corrected(judge)
        keep_freed_memory()

    def _corrected(self, judge: Judge) -> list[Layer]:
        """The decoder's blocks as the judge reads with them. Raises UserError when it belongs to another network."""
        check_fits(judge, corrected_shapes(self._config), self._config.layers)
        return [
            corrected_layer(self._config, layer, judge.corrections, f"decoder.layers.{i}.", self._dtype)
            for i, layer in enumerate(self._decoder)
        ]

    # --- encoding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> SearchState:
        """(B, S) ids and mask, right-padded -> the state of B rows, one a conversation."""
        config, (batch, size) = self._config, input_ids.shape
        lengths = attention_mask.sum(-1)
        turn = self._rotations(size)[None, :, None, :]
        mask = None if config.encoder == "causal" else attention_mask[:, None, None, :].bool()
        values = torch.empty(config.layers, 2, batch, config.kv_heads, size, config.head_dim)
        x = F.embedding(input_ids, self._embedding).float()
        for i, layer in enumerate(self._decoder):
            self._remember(values[i], layer, x, turn)
            if i < len(self._encoder):
                x = self._encoder_layer(self._encoder[i], x, turn, mask)
        prefix = PrefixCache(config.layers, batch, config.kv_heads, config.head_dim)
        return SearchState.start(ContextCache(values, lengths), prefix, lengths.clone())

    def _remember(self, values: Tensor, layer: Layer, x: Tensor, turn: Tensor) -> None:
        """Writes the decoder layer's keys and values of the (B, S, width) states into ``values`` (2, B, H, S, D)."""
        assert layer.context is not None
        heads = self._config.kv_heads
        both = layer.context(self._normal(x, layer.attention_gain)).view(*x.shape[:2], 2 * heads, -1)
        values[0] = _turned(both[:, :, :heads], turn).transpose(1, 2)
        values[1] = both[:, :, heads:].transpose(1, 2)

    def _encoder_layer(self, layer: Layer, x: Tensor, turn: Tensor, mask: Tensor | None) -> Tensor:
        config = self._config
        qkv = layer.qkv(self._normal(x, layer.attention_gain)).view(*x.shape[:2], -1, config.head_dim)
        turned = _turned(qkv[:, :, : config.heads + config.kv_heads], turn).to(self._dtype).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(
            turned[:, : config.heads],
            turned[:, config.heads :],
            qkv[:, :, config.heads + config.kv_heads :].transpose(1, 2),
            attn_mask=mask,
            is_causal=mask is None,
            scale=1.0,
            enable_gqa=True,
        )
        return self._rest(layer, x, mixed.transpose(1, 2).flatten(2))

    # --- decoding ---------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def step(self, last_ids: Tensor, state: SearchState) -> tuple[Tensor, SearchState]:
        """(N,) newest ids -> (N, V) float32 log-probabilities of the next token, and the state after them."""
        state.prefix.open()
        log_probs = self._log_probs(self._states(last_ids, state, self._decoder))
        state.positions = state.positions + 1
        return log_probs, state

    @torch.inference_mode()
    def read_trees(self, tokens: Tensor, above: Tensor, state: SearchState, asked: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the (M, 2) pairs (row, next token) asked for, and whether they are the likeliest."""
        state.positions = state.positions + state.prefix.plant(above)
        return picked(self._log_probs, self._states(tokens, state, self._decoder), asked)

    @property
    def judges(self) -> bool:
        """Whether these weights came with a judge."""
        return self._judge is not None

    @torch.inference_mode()
    def judge_trees(self, tokens: Tensor, above: Tensor, state: SearchState, ends: Tensor) -> Tensor:
        """The judge's scores of the replies that end at the (M,) rows ``ends``, float32."""
        assert self._judge is not None
        state.positions = state.positions + state.prefix.plant(above)
        return self._states(tokens, state, self._judging)[ends].float() @ self._judge

    def _states(self, ids: Tensor, state: SearchState, layers: Sequence[Layer]) -> Tensor:
        """(N,) ids whose cells are chosen -> their (N, width) last states after ``layers``, normalised."""
        turn = self._rotations(int(state.positions.max()) + 1)[state.positions][:, None, :]
        bias = self._bias(state)
        x = F.embedding(ids, self._embedding).float()
        for i, layer in enumerate(layers):
            x = self._decoder_layer(i, layer, x, turn, state, bias)
        return self._normal(x, self._final_gain)

    def _log_probs(self, states: Tensor) -> Tensor:
        """(N, width) -> (N, V) float32."""
        return F.log_softmax(self._head(states), dim=-1, dtype=torch.float32)

    def _decoder_layer(
        self, i: int, layer: Layer, x: Tensor, turn: Tensor, state: SearchState, bias: Tensor | None
    ) -> Tensor:
        """(N, width) -> (N, width): attention in one softmax over the context and the row's own prefix."""
        config = self._config
        qkv = layer.qkv(self._normal(x, layer.attention_gain)).float().view(len(x), -1, config.head_dim)
        turned = _turned(qkv[:, : config.heads + config.kv_heads], turn)
        keys = turned[:, config.heads :]
        own = state.prefix.write(i, torch.stack((keys, qkv[:, config.heads + config.kv_heads :]), dim=1))
        query = turned[:, : config.heads].view(len(x), config.kv_heads, -1, config.head_dim)
        mixed = joint_attention(query, state.context.layer(i), own, state.groups, state.prefix.groups, bias)
        return self._rest(layer, x, mixed.to(self._dtype, memory_format=torch.contiguous_format).flatten(1))

    def _bias(self, state: SearchState) -> Tensor | None:
        """(B, 1, K * G, S + t), minus infinity where a query must not look; None where all may look everywhere."""
        padding, unseen, groups = state.context.bias, state.prefix.bias, state.groups
        if padding is None and unseen is None:
            return None
        sizes = (groups.groups, groups.width, -1)
        own = torch.zeros(len(state.positions), state.prefix.extent)
        if unseen is not None:
            own = state.prefix.groups.collect(unseen[:, 0])
        context = torch.zeros(1, 1, state.context.columns) if padding is None else padding[:, 0]
        both = torch.cat((context.expand(*sizes), groups.spread(own)), dim=-1)
        return both.repeat_interleave(self._config.heads // self._config.kv_heads, dim=1)[:, None]

    # --- following the survivors ------------------------------------------------------------------------------------

    @torch.inference_mode()
    def reorder(self, state: SearchState, rows: Tensor) -> SearchState:
        """(M,) old row indices -> the state whose row m continues old row rows[m]."""
        return state.reorder(rows)

    @torch.inference_mode()
    def join(self, first: SearchState, second: SearchState) -> SearchState:
        """One state with the rows of ``first`` and then those of ``second``, each at its own step."""
        return first.beside(second)

    # --- parts of a block -------------------------------------------------------------------------------------------

    def _normal(self, x: Tensor, gain: Tensor) -> Tensor:
        """RMSNorm in float32, the result in the computing dtype."""
        return F.rms_norm(x, gain.shape, gain, self._config.norm_eps).to(self._dtype)

    def _rest(self, layer: Layer, x: Tensor, mixed: Tensor) -> Tensor:
        """What follows attention: output projection, SwiGLU, both added to the float32 states ``x`` in place."""
        x = x + layer.out(mixed)
        gate, up = layer.gate_up(self._normal(x, layer.mlp_gain)).chunk(2, dim=-1)
        return x.add_(layer.down(F.silu(gate).mul_(up)))

    def _rotations(self, size: int) -> Tensor:
        """At least ``size`` rows of unit complex numbers (P, D/2): the rotary position embedding (Su et al. 2021)."""
        if len(self._rope) < size:
            count = max(size, 2 * len(self._rope), 256)
            exponents = torch.arange(0, self._config.head_dim, 2, dtype=torch.int64).float() / self._config.head_dim
            angles = torch.arange(count).float()[:, None] * (1.0 / self._config.rope_theta**exponents)
            self._rope = torch.polar(torch.ones_like(angles), angles)
        return self._rope[:size]


def _turned(x: Tensor, turn: Tensor) -> Tensor:
    """(…, heads, D) with interleaved pairs, turned by (…, 1, D/2) unit complex numbers; float32."""
    pairs = torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turn).flatten(-2)
