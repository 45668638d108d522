"""Small models behind the Seq2Seq protocol: a table to compute by hand, a random recurrent one, transformers'."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

Prefix = tuple[int, ...]


class TableModel:
    """Next-token probabilities by what was said so far; the context is ignored. Unlisted tokens are impossible.

    The state is the list of prefixes, so it shows what a search kept.
    """

    def __init__(self, vocab_size: int, table: Mapping[Prefix, Mapping[int, float]]) -> None:
        self.vocab_size, self.table = vocab_size, table

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> list[Prefix | None]:
        return [None] * len(input_ids)

    def step(self, last_ids: Tensor, state: list[Prefix | None]) -> tuple[Tensor, list[Prefix | None]]:
        assert len(last_ids) == len(state)
        said: list[Prefix | None] = [
            () if prefix is None else (*prefix, token) for prefix, token in zip(state, last_ids.tolist(), strict=True)
        ]
        log_probs = torch.full((len(said), self.vocab_size), -math.inf)
        for row, prefix in enumerate(said):
            for token, probability in self.table.get(prefix or (), {}).items():
                log_probs[row, token] = math.log(probability) if probability else -math.inf
        return log_probs, said

    def reorder(self, state: list[Prefix | None], rows: Tensor) -> list[Prefix | None]:
        return [state[row] for row in rows.tolist()]

    def join(self, first: list[Prefix | None], second: list[Prefix | None]) -> list[Prefix | None]:
        return [*first, *second]


class LonelyModel:
    """A random recurrent network: every token depends on the context and on all tokens before it.

    It works in double precision, so that the number of rows beside a row changes nothing that is left after rounding.
    ``encodings`` and ``rows_stepped`` count its work. Its rows must all be at the same step: it cannot join.
    """

    def __init__(self, vocab_size: int, seed: int = 0, size: int = 12, sharpness: float = 2.5) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.vocab_size = vocab_size
        self.embedding, self.output = (
            torch.randn(vocab_size, size, generator=generator, dtype=torch.double) for _ in range(2)
        )
        self.output *= sharpness / math.sqrt(size)
        self.mixing = torch.randn(size, size, generator=generator, dtype=torch.double) / math.sqrt(size)
        self.encodings = 0
        self.rows_stepped = 0

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        self.encodings += len(input_ids)
        weight = attention_mask.double() / (1.0 + torch.arange(input_ids.shape[1]))
        return (self.embedding[input_ids] * weight[..., None]).sum(dim=1)

    def step(self, last_ids: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert len(last_ids) == len(state)
        self.rows_stepped += len(last_ids)
        state = torch.tanh(state @ self.mixing + self.embedding[last_ids])
        return (state @ self.output.T).log_softmax(dim=-1).float(), state

    def reorder(self, state: Tensor, rows: Tensor) -> Tensor:
        return state[rows]


class RecurrentModel(LonelyModel):
    """The same whose rows may be at different steps."""

    def join(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second])


@dataclass
class TransformersState:
    """What transformers needs to go on: encoder output, its mask, the caches."""

    encoded: Tensor
    mask: Tensor
    cache: EncoderDecoderCache


class TransformersModel:
    """Any encoder–decoder of transformers, one token at a time."""

    def __init__(self, network: Any) -> None:
        self.network, self.vocab_size = network, network.config.vocab_size

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> TransformersState:
        encoder = self.network.get_encoder()
        encoded = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        caches = (DynamicCache(config=self.network.config) for _ in range(2))
        return TransformersState(encoded, attention_mask, EncoderDecoderCache(*caches))

    def step(self, last_ids: Tensor, state: TransformersState) -> tuple[Tensor, TransformersState]:
        out = self.network(
            encoder_outputs=(state.encoded,), attention_mask=state.mask, decoder_input_ids=last_ids[:, None],
            past_key_values=state.cache, use_cache=True,
        )  # fmt: skip
        return out.logits[:, -1].float().log_softmax(dim=-1), TransformersState(state.encoded, state.mask, state.cache)

    def reorder(self, state: TransformersState, rows: Tensor) -> TransformersState:
        state.cache.reorder_cache(cast(torch.LongTensor, rows))
        return TransformersState(state.encoded[rows], state.mask[rows], state.cache)


def sequences_of(hypotheses: Sequence[Any]) -> list[Prefix]:
    """Token ids only."""
    return [hypothesis.token_ids for hypothesis in hypotheses]
