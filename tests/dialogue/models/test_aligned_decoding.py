from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.decoding.protocol import JoinableSeq2Seq
from dialogue.models.aligned import AlignedConfig, EncoderKind, aligned_state
from dialogue.models.aligned_decoding import AlignedSeq2Seq
from dialogue.models.caches import SearchState
from dialogue.models.kernels import plain_kernels
from tests.dialogue.models.tiny_aligned import VOCABULARY, batch, expected, search_form, tiny_model

KINDS: tuple[EncoderKind, ...] = ("causal", "bidirectional")
MODELS = {kind: tiny_model(kind) for kind in KINDS}
SEARCHES = {kind: search_form(model) for kind, model in MODELS.items()}
TOLERANCE = 2e-5

contexts = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9), min_size=1, max_size=3)


class Walk:
    """A search that goes where it is told, with its rows' histories kept beside it as the oracle's input."""

    def __init__(self, kind: EncoderKind, start: list[list[int]]) -> None:
        self.model, self.search = MODELS[kind], SEARCHES[kind]
        self.state: SearchState = self.search.encode(*batch(start))
        self.rows: list[tuple[list[int], list[int]]] = [(context, []) for context in start]

    def step(self, tokens: list[int]) -> None:
        """Say one token in every row and compare the next token's distribution with the oracle's."""
        log_probs, self.state = self.search.step(torch.tensor(tokens), self.state)
        self.rows = [(context, [*said, token]) for (context, said), token in zip(self.rows, tokens, strict=True)]
        wanted = torch.stack([expected(self.model, context, said) for context, said in self.rows])
        torch.testing.assert_close(log_probs, wanted, atol=TOLERANCE, rtol=0)

    def reorder(self, parents: list[int]) -> None:
        """Go on from these rows."""
        self.state = self.search.reorder(self.state, torch.tensor(parents))
        self.rows = [self.rows[parent] for parent in parents]

    def join(self, other: Walk) -> None:
        """Take the other search's rows in."""
        self.state = self.search.join(self.state, other.state)
        self.rows += other.rows

    def anywhere(self, data: st.DataObject, steps: int) -> None:
        """Some steps with any tokens and any survivors."""
        for _ in range(steps):
            self.step(
                data.draw(st.lists(st.integers(0, VOCABULARY - 1), min_size=len(self.rows), max_size=len(self.rows)))
            )
            self.reorder(data.draw(st.lists(st.integers(0, len(self.rows) - 1), min_size=1, max_size=6)))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(start=contexts, data=st.data())
def test_whatever_rows_survive_each_continues_its_own_history(
    kind: EncoderKind, start: list[list[int]], data: Any
) -> None:
    walk = Walk(kind, start)
    walk.anywhere(data, steps=5)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=25, deadline=None)
@given(first=contexts, second=contexts, third=contexts, data=st.data())
def test_conversations_that_enter_midway_change_nothing_for_anybody(
    kind: EncoderKind, first: list[list[int]], second: list[list[int]], third: list[list[int]], data: Any
) -> None:
    walk = Walk(kind, first)
    for newcomers in (second, third):
        walk.anywhere(data, steps=data.draw(st.integers(0, 3)))
        entering = Walk(kind, newcomers)
        entering.anywhere(data, steps=data.draw(st.integers(0, 2)))
        walk.join(entering)
    walk.anywhere(data, steps=2)


def test_replies_longer_than_the_cache_grows_at_a_time_are_right() -> None:
    walk = Walk("bidirectional", [[5, 6, 7], [8]])
    generator = torch.Generator().manual_seed(3)
    for _ in range(75):
        walk.step(torch.randint(0, VOCABULARY, (len(walk.rows),), generator=generator).tolist())
        walk.reorder(torch.randint(0, len(walk.rows), (4,), generator=generator).tolist())


def test_a_causal_encoder_gives_the_plain_language_model() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(1)
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=71, hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.2,
        )
    )  # fmt: skip
    config = AlignedConfig.from_llama(llama.config.to_dict(), "causal")
    search = AlignedSeq2Seq(config, aligned_state(config, llama.state_dict()), plain_kernels(torch.float32))
    ids = torch.randint(0, 71, (1, 20))
    with torch.inference_mode():
        wanted = llama(ids).logits[0].log_softmax(-1)
    for split in (1, 7, 19):
        state = search.encode(ids[:, :split], torch.ones(1, split, dtype=torch.long))
        for position in range(split, 20):
            log_probs, state = search.step(ids[:, position], state)
            torch.testing.assert_close(log_probs[0], wanted[position], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_path_computes_what_the_packed_one_does(kind: EncoderKind) -> None:
    ids, mask = batch([[1, 2, 3, 4], [9, 8]])
    plain, packed = search_form(MODELS[kind], packed=False), SEARCHES[kind]
    one, _ = plain.step(torch.tensor([5, 6]), plain.encode(ids, mask))
    other, _ = packed.step(torch.tensor([5, 6]), packed.encode(ids, mask))
    torch.testing.assert_close(one, other, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("packed", [True, False])
def test_bfloat16_stays_near_float32_and_still_gives_float32_log_probabilities(packed: bool) -> None:
    ids, mask = batch([[1, 2, 3, 4], [9, 8]])
    narrow, wide = search_form(MODELS["causal"], torch.bfloat16, packed=packed), SEARCHES["causal"]
    one, _ = narrow.step(torch.tensor([5, 6]), narrow.encode(ids, mask))
    other, _ = wide.step(torch.tensor([5, 6]), wide.encode(ids, mask))
    assert one.dtype is torch.float32
    assert float((one.exp() - other.exp()).abs().max()) < 0.05


def test_hypotheses_share_their_conversations_context_in_memory() -> None:
    search = SEARCHES["bidirectional"]
    state = search.encode(*batch([[1, 2, 3], [4, 5]]))
    address = state.context.layer(0)[0].data_ptr()
    _, state = search.step(torch.tensor([7, 7]), state)
    state = search.reorder(state, torch.tensor([0] * 5 + [1] * 5))
    assert state.context.layer(0)[0].data_ptr() == address
    assert state.context.slots == 2


def test_a_finished_conversation_frees_its_context() -> None:
    search = SEARCHES["bidirectional"]
    state = search.encode(*batch([[1, 2, 3], [4, 5], [6]]))
    state = search.reorder(state, torch.tensor([1, 1]))
    assert state.context.slots == 1
    assert state.context.columns == 2


def test_the_search_form_can_be_joined() -> None:
    assert isinstance(SEARCHES["causal"], JoinableSeq2Seq)
