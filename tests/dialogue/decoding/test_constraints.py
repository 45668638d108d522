"""Each score rule by itself: what it forbids, what it leaves alone, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation import logits_process as peers

from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.constraints import (
    NOTHING,
    Ban,
    BlockedSequences,
    Forced,
    MinLength,
    NoRepeatContextNGram,
    NoRepeatNGram,
    RepetitionPenalty,
    Rules,
    Said,
    rules_for,
)  # fmt: skip
from dialogue.decoding.tables import rectangle
from dialogue.errors import UserError

VOCABULARY = 12
START, EOS = 0, 1
CPU = torch.device("cpu")


def said(replies: Sequence[Sequence[int]], contexts: Sequence[Sequence[int]] = ()) -> Said:
    """Rows that have said these replies; room for a few tokens more."""
    lengths = [len(reply) for reply in replies]
    tokens = rectangle([(START, *reply, *[NOTHING] * 3) for reply in replies], CPU)
    heard = rectangle([tuple(c) for c in contexts] or [()] * len(replies), CPU)
    return Said(tokens, torch.tensor(lengths), heard, min(lengths), max(lengths))


def forbidden(ban: Ban, rows: Said) -> list[set[int]]:
    """The tokens that each row may not say next."""
    scores = Rules(bans=(ban,))(rows, torch.zeros(len(rows.lengths), VOCABULARY))
    return [set(row.nonzero().flatten().tolist()) for row in scores]


def test_minimum_length_forbids_the_end_and_counts_it() -> None:
    rows = said([[], [5], [5, 6]])
    assert forbidden(MinLength(3, EOS), rows) == [{EOS}, {EOS}, set()]


def test_a_reply_ngram_is_forbidden_only_where_its_beginning_was_just_said() -> None:
    rows = said([[4, 5, 6, 4, 5], [4, 5, 6, 5, 4], [4, 5]])
    assert forbidden(NoRepeatNGram(3), rows) == [{6}, set(), set()]
    assert forbidden(NoRepeatNGram(2), rows) == [{6}, {5}, set()]
    assert forbidden(NoRepeatNGram(1), said([[4, 5], [6]])) == [{START, 4, 5}, {START, 6}]


def test_a_context_ngram_is_forbidden_in_its_own_row_only() -> None:
    rows = said([[7, 8], [7, 8], [8]], contexts=[[7, 8, 9, 7, 8, 3], [5, 5], []])
    assert forbidden(NoRepeatContextNGram(3), rows) == [{9, 3}, set(), set()]


def test_a_phrase_is_forbidden_at_its_last_token_and_a_word_always() -> None:
    rows = said([[5, 6], [6], []])
    assert forbidden(BlockedSequences([(9,), (5, 6, 7), (6, 8)]), rows) == [{9, 7, 8}, {9, 8}, {9}]


def test_the_start_token_is_no_part_of_a_phrase() -> None:
    assert forbidden(BlockedSequences([(START, 7)]), said([[], [START]])) == [set(), {7}]


REPLIES = st.lists(st.integers(2, VOCABULARY - 1), max_size=9)


@settings(max_examples=60, deadline=None)
@given(REPLIES, st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=9), st.integers(1, 4))
def test_ngram_blocking_equals_transformers(reply: list[int], context: list[int], n: int) -> None:
    rows, ids = said([reply], [context]), torch.tensor([[START, *reply]])
    zeros = torch.zeros(1, VOCABULARY)
    pairs: list[tuple[Ban, Callable[[Tensor, Tensor], Tensor]]] = [
        (NoRepeatNGram(n), peers.NoRepeatNGramLogitsProcessor(n)),
        (
            NoRepeatContextNGram(n),
            peers.EncoderNoRepeatNGramLogitsProcessor(n, cast(torch.LongTensor, torch.tensor([context]))),
        ),
    ]
    for mine, theirs in pairs:
        assert torch.equal(Rules(bans=(mine,))(rows, zeros), theirs(ids, zeros))


@settings(max_examples=60, deadline=None)
@given(REPLIES, st.lists(st.lists(st.integers(2, VOCABULARY - 1), min_size=1, max_size=3), min_size=1, max_size=4))
def test_blocked_sequences_equal_transformers_bad_words(reply: list[int], phrases: list[list[int]]) -> None:
    theirs = peers.NoBadWordsLogitsProcessor(phrases, eos_token_id=EOS)
    zeros = torch.zeros(1, VOCABULARY)
    mine = Rules(bans=(BlockedSequences(phrases),))(said([reply]), zeros)
    assert torch.equal(mine, theirs(torch.tensor([[START, *reply]]), zeros))


@settings(max_examples=40, deadline=None)
@given(REPLIES, st.sampled_from([0.5, 1.2, 3.0]), st.integers(0, 100))
def test_the_repetition_penalty_equals_transformers(reply: list[int], penalty: float, seed: int) -> None:
    scores = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(seed))
    theirs = peers.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([[START, *reply]]), scores)
    assert torch.equal(RepetitionPenalty(penalty)(said([reply]), scores), theirs)


def test_a_forced_token_is_certain_at_its_place_and_nowhere_else() -> None:
    scores = torch.full((3, VOCABULARY), -2.0)
    forced = Forced(7, at=1)(said([[], [5], [5, 6]]), scores)
    assert torch.equal(forced[0], scores[0]) and torch.equal(forced[2], scores[2])
    assert forced[1, 7] == 0 and torch.isinf(forced[1]).sum() == VOCABULARY - 1


def test_a_forced_token_outranks_every_ban() -> None:
    config = DecodingConfig(min_length=3, max_length=3, forced_last_id=EOS, no_repeat_ngram=1)
    scores = rules_for(config, EOS, [(EOS,)])(said([[5, 6]]), torch.zeros(1, VOCABULARY))
    assert scores.isfinite().nonzero().tolist() == [[0, EOS]]


@settings(max_examples=40, deadline=None)
@given(st.lists(REPLIES, min_size=1, max_size=4), st.data())
def test_rules_never_change_what_they_are_given_and_treat_each_row_alone(
    replies: list[list[int]], data: st.DataObject
) -> None:
    contexts = [data.draw(REPLIES) for _ in replies]
    config = DecodingConfig(
        min_length=3, no_repeat_ngram=2, no_repeat_context_ngram=2, repetition_penalty=1.3, forced_first_id=4
    )
    rules = rules_for(config, EOS, [(3,), (4, 5)])
    scores = torch.randn(len(replies), VOCABULARY)
    rows, before = said(replies, contexts), scores.clone()
    tokens = rows.tokens.clone()
    together = rules(rows, scores)
    assert torch.equal(scores, before) and torch.equal(rows.tokens, tokens)
    for i, (reply, context) in enumerate(zip(replies, contexts, strict=True)):
        assert torch.equal(together[i : i + 1], rules(said([reply], [context]), scores[i : i + 1]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: MinLength(0, EOS),
        lambda: NoRepeatNGram(0),
        lambda: NoRepeatContextNGram(-1),
        lambda: BlockedSequences([]),
        lambda: BlockedSequences([(3,), ()]),
        lambda: RepetitionPenalty(0.0),
        lambda: RepetitionPenalty(float("nan")),
        lambda: Forced(-1, 0),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_when_it_is_made(make: Callable[[], object]) -> None:
    with pytest.raises(UserError):
        make()
