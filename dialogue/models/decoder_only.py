"""Decoder-only checkpoints (DialoGPT, GPT-2, Llama-like) behind the Seq2Seq protocol: the context is a long prefix.

Contexts are right-padded and never moved: the padding stays in the cache, hidden by the mask, and every token has the
position that it would have alone. Llama-like checkpoints that aligned_decoding.py can run are run there.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue.models.chat_model import ChatModel
from dialogue.models.checkpoint import fingerprint
from dialogue.models.families import causal_reading, positions, read_settings
from dialogue.models.huggingface import load_vocabulary, open_network

MAX_REPLY = 64


@dataclass(slots=True)
class CausalState:
    """N rows: a mask (N, S + t) of what is in the cache, and the position (N,) of the next token."""

    mask: Tensor
    positions: Tensor
    cache: Any


class CausalSeq2Seq:
    """The Seq2Seq protocol over a causal language model of transformers."""

    def __init__(self, model: Any) -> None:
        self._model = model.eval()
        self.vocab_size = int(model.config.get_text_config().vocab_size)
        self._takes_positions = "position_ids" in inspect.signature(model.forward).parameters

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> CausalState:
        """(B, S) ids and mask, right-padded -> the state of B rows."""
        places = torch.arange(input_ids.shape[1])[None].expand_as(input_ids)
        body = self._model.base_model
        cache = body(input_ids, attention_mask=attention_mask, use_cache=True, **self._at(places)).past_key_values
        return CausalState(attention_mask, attention_mask.sum(-1), cache)

    @torch.inference_mode()
    def step(self, last_ids: Tensor, state: CausalState) -> tuple[Tensor, CausalState]:
        """(N,) newest ids -> (N, V) float32 log-probabilities of the next token, and the state after them."""
        mask = torch.cat((state.mask, state.mask.new_ones(len(last_ids), 1)), dim=1)
        out = self._model(
            last_ids[:, None],
            attention_mask=mask,
            past_key_values=state.cache,
            use_cache=True,
            **self._at(state.positions[:, None]),
        )
        return out.logits[:, -1].float().log_softmax(-1), CausalState(mask, state.positions + 1, out.past_key_values)

    @torch.inference_mode()
    def reorder(self, state: CausalState, rows: Tensor) -> CausalState:
        """(M,) old row indices -> the state whose row m continues old row rows[m]."""
        state.cache.reorder_cache(rows)
        return CausalState(state.mask[rows], state.positions[rows], state.cache)

    def _at(self, places: Tensor) -> dict[str, Tensor]:
        """Positions as an argument, for the families that take them; the others read them off the mask."""
        return {"position_ids": places} if self._takes_positions else {}


def load_decoder_only(folder: Path, name: str, dtype: str = "auto") -> ChatModel:
    """A causal language model's checkpoint folder as a model ready to chat; raises UserError for what cannot be."""
    model = open_network(folder, "AutoModelForCausalLM", dtype)
    given = {key: value for key, value in model.config.to_dict().items() if value is not None}
    settings, vocabulary = read_settings(folder, given), load_vocabulary(folder)
    reading = causal_reading(vocabulary, settings)
    return ChatModel(
        name=name,
        seq2seq=CausalSeq2Seq(model),
        vocabulary=vocabulary,
        context_format=reading.context_format,
        start_id=reading.start_id,
        eos_id=reading.eos_id,
        pad_id=reading.pad_id,
        max_context=min(positions(settings) - MAX_REPLY, 512),
        max_reply=MAX_REPLY,
        defaults=reading.defaults,
        languages=reading.languages,
        fingerprint=fingerprint(folder, dtype),
    )
