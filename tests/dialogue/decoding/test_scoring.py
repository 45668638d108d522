"""Teacher forcing through the search protocol: the same numbers as the searches, whoever is in the batch."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.decoding.protocol import TreeSeq2Seq
from dialogue.decoding.scoring import MOST_NODES, _forests, score, teacher_force
from dialogue.models.aligned import EncoderKind
from dialogue.models.bart import BartConfig, BartSeq2Seq
from dialogue.models.kernels import plain_kernels
from tests.dialogue.decoding.test_parity import tiny_bart
from tests.dialogue.decoding.tiny_models import RecurrentModel, TransformersModel
from tests.dialogue.models.test_aligned_decoding import KINDS, MODELS, SEARCHES, TOLERANCE
from tests.dialogue.models.tiny_aligned import expected

CONTEXTS = st.lists(st.integers(0, 2), min_size=1, max_size=2)
MODEL = RecurrentModel(9, 1)
IDS = st.lists(st.integers(3, 8), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(IDS, st.lists(st.integers(1, 8), max_size=5)), min_size=1, max_size=6))
def test_a_reply_scores_the_same_alone_and_in_a_crowd(pairs: list[tuple[list[int], list[int]]]) -> None:
    contexts, replies = [context for context, _ in pairs], [reply for _, reply in pairs]
    together = score(MODEL, contexts, replies, start_id=0, pad_id=2)
    for context, reply, tokens in zip(contexts, replies, together, strict=True):
        assert len(tokens) == len(reply)
        assert tokens == pytest.approx(score(MODEL, [context], [reply], start_id=0, pad_id=2)[0], abs=1e-5)


def test_scores_equal_transformers_forward_pass() -> None:
    torch.manual_seed(3)
    network, start_id, _, pad_id = tiny_bart(40, 0.8)
    context, reply = [5, 6, 7], [9, 8, 10, 2]
    with torch.inference_mode():
        logits = network(
            input_ids=torch.tensor([context]), decoder_input_ids=torch.tensor([[start_id, *reply[:-1]]])
        ).logits
    wanted = logits[0].log_softmax(dim=-1)[range(len(reply)), reply].tolist()
    found = score(TransformersModel(network), [context], [reply], start_id=start_id, pad_id=pad_id)[0]
    assert found == pytest.approx(wanted, abs=1e-5)


def test_equal_contexts_are_encoded_once() -> None:
    model = RecurrentModel(9, 1)
    score(model, [(3, 4)] * 5 + [(3, 5)], [(6, 7)] * 6, start_id=0, pad_id=2)
    assert model.encodings == 2


def test_a_beginning_that_replies_share_is_read_once() -> None:
    model = RecurrentModel(9, 1)
    score(model, [(3, 4)] * 4, [(5, 6, 7), (5, 6, 8), (5, 7, 8), (5,)], start_id=0, pad_id=2)
    assert model.rows_stepped == 1 + 1 + 2


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(CONTEXTS, st.lists(st.integers(0, 2), max_size=7)), min_size=1, max_size=12))
def test_trees_read_at_once_score_what_the_training_form_says(
    kind: EncoderKind, pairs: list[tuple[list[int], list[int]]]
) -> None:
    model = SEARCHES[kind]
    assert isinstance(model, TreeSeq2Seq)
    forced = teacher_force(model, *zip(*pairs, strict=True), start_id=1, pad_id=0)
    for (context, reply), found in zip(pairs, forced, strict=True):
        wanted = [expected(MODELS[kind], context, [1, *reply[:size]]) for size in range(len(reply))]
        assert found.log_probs == pytest.approx(
            [float(row[token]) for row, token in zip(wanted, reply, strict=True)], abs=TOLERANCE
        )
        assert found.right == sum(int(row.argmax()) == token for row, token in zip(wanted, reply, strict=True))


def test_many_replies_are_read_in_pieces() -> None:
    replies = [(first, second, 7) for first in range(20) for second in range(20)]
    together = score(SEARCHES["causal"], [(3, 4)] * len(replies), replies, start_id=1, pad_id=0)
    for place in (0, 17, 399):
        alone = score(SEARCHES["causal"], [(3, 4)], [replies[place]], start_id=1, pad_id=0)[0]
        assert together[place] == pytest.approx(alone, abs=TOLERANCE)


def test_bart_reads_trees_at_once_as_transformers_reads_them_by_levels() -> None:
    torch.manual_seed(4)
    theirs, start_id, _, pad_id = tiny_bart(40, 0.8)
    config = BartConfig.from_settings({**theirs.config.to_dict(), "model_type": "bart"})
    native = BartSeq2Seq(config, theirs.state_dict(), plain_kernels(torch.float32))
    assert isinstance(native, TreeSeq2Seq)
    dice = random.Random(4)
    talks = [tuple(dice.randrange(3, 40) for _ in range(size)) for size in (1, 4, 9)]
    contexts = [talks[0], *[talks[1]] * 8, *[talks[2]] * 4]
    replies = [tuple(dice.choices((5, 6, 7), k=dice.randint(1, 6))) for _ in contexts]
    wanted = teacher_force(TransformersModel(theirs), contexts, replies, start_id=start_id, pad_id=pad_id)
    for found, their in zip(
        teacher_force(native, contexts, replies, start_id=start_id, pad_id=pad_id), wanted, strict=True
    ):
        assert found.log_probs == pytest.approx(their.log_probs, abs=TOLERANCE)
        assert found.right == their.right


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_every_reply_is_in_one_piece_and_no_piece_needs_more_places_than_allowed(seed: int) -> None:
    dice = random.Random(seed)
    pairs = [
        ((dice.randrange(4),), tuple(dice.choices(range(3), k=dice.choice((0, 3, 30)))))
        for _ in range(dice.randint(0, 40))
    ]
    numbers: list[int] = []
    for forest in _forests(pairs, start_id=1):
        own = {number for number, _, _ in forest.asked}
        trees = Counter(root for root, _, _ in forest.nodes)
        assert len(forest.contexts) * max(trees.values()) <= MOST_NODES
        numbers += own
    assert sorted(numbers) == [number for number, (_, reply) in enumerate(pairs) if reply]


def test_a_reply_that_is_longer_than_a_piece_is_read_alone() -> None:
    long = tuple(range(2 * MOST_NODES))
    sizes = [len(forest.nodes) for forest in _forests([((3,), long), ((3,), (5, 6))], start_id=1)]
    assert sizes == [2 * MOST_NODES, 2]


def test_contexts_and_replies_must_be_pairs() -> None:
    with pytest.raises(ValueError, match="one context for each reply"):
        score(MODEL, [(3,)], [(4,), (5,)], start_id=0, pad_id=2)
