"""A beam as wide as the search space equals exhaustive search: every sequence written down, scored and sorted."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.decoding.beam import expected_score
from dialogue.decoding.config import DecodingConfig, LengthPenalty, Strategy
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.scoring import score
from dialogue.decoding.search import decode
from tests.dialogue.decoding.tiny_models import RecurrentModel

START, EOS, PAD = 0, 1, 0
VOCABULARY = 4
CONTEXT = (2, 3, 3)


def every_reply(config: DecodingConfig) -> list[tuple[int, ...]]:
    """All sequences that end with EOS, or are as long as may be, and keep the rules."""
    words = [token for token in range(VOCABULARY) if token != EOS]
    found: list[tuple[int, ...]] = []
    for length in range(config.max_length + 1):
        for body in itertools.product(words, repeat=length):
            if length < config.max_length:
                found.append((*body, EOS))
            else:
                found.append(body)
    return [reply for reply in found if allowed(reply, config)]


def allowed(reply: tuple[int, ...], config: DecodingConfig) -> bool:
    n, m = config.no_repeat_ngram, config.no_repeat_context_ngram
    history = (START, *reply)
    grams = [history[i : i + n] for i in range(len(history) - n + 1)] if n else []
    heard = {CONTEXT[i : i + m] for i in range(len(CONTEXT) - m + 1)} if m else set()
    said = {history[i : i + m] for i in range(len(history) - m + 1)} if m else set()
    return len(reply) >= config.min_length and len(grams) == len(set(grams)) and not heard & said


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    max_length=st.integers(1, 4),
    min_length=st.integers(0, 4),
    alpha=st.sampled_from([0.0, 0.65, 1.0]),
    kind=st.sampled_from(LengthPenalty),
    early_stopping=st.sampled_from([True, False, "never"]),
    ngram=st.sampled_from([0, 2]),
    context_ngram=st.sampled_from([0, 2]),
)
def test_a_beam_as_wide_as_the_search_space_equals_exhaustive_search(
    seed: int, max_length: int, min_length: int, alpha: float, kind: LengthPenalty, early_stopping: object,
    ngram: int, context_ngram: int,
) -> None:  # fmt: skip
    config = DecodingConfig(
        num_beams=VOCABULARY**max_length, num_return=6, max_length=max_length, min_length=min(min_length, max_length),
        length_penalty=alpha, length_penalty_kind=kind, early_stopping=early_stopping,  # type: ignore[arg-type]
        no_repeat_ngram=ngram, no_repeat_context_ngram=context_ngram,
    )  # fmt: skip
    model = RecurrentModel(VOCABULARY, seed)
    request = DecodingRequest(id=0, input_ids=CONTEXT, config=config)
    found = decode(model, [request], start_id=START, eos_id=EOS, pad_id=PAD)[0]
    replies = every_reply(config)
    log_probs = [sum(tokens) for tokens in score(model, [CONTEXT] * len(replies), replies, start_id=START, pad_id=PAD)]
    pairs = zip(replies, log_probs, strict=True)
    best = sorted(((expected_score(config, value, len(reply)), value, reply) for reply, value in pairs), reverse=True)[
        :6
    ]
    assert len(found) == min(6, len(replies))
    assert [h.score for h in found] == pytest.approx([value for value, _, _ in best], abs=1e-4)
    assert [h.log_prob for h in found] == pytest.approx([value for _, value, _ in best], abs=1e-4)
    assert [h.token_ids for h in found] == [reply for _, _, reply in best]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_greedy_takes_the_likeliest_token_each_time(seed: int) -> None:
    model, config = RecurrentModel(VOCABULARY, seed), DecodingConfig(strategy=Strategy.GREEDY, max_length=5)
    request = DecodingRequest(id=0, input_ids=CONTEXT, config=config)
    reply = decode(model, [request], start_id=START, eos_id=EOS, pad_id=PAD)[0][0].token_ids
    for step, token in enumerate(reply):
        rivals = [(*reply[:step], rival) for rival in range(VOCABULARY)]
        last = [tokens[-1] for tokens in score(model, [CONTEXT] * VOCABULARY, rivals, start_id=START, pad_id=PAD)]
        assert last[token] == max(last)


def test_a_dead_end_returns_what_there_is() -> None:
    config = DecodingConfig(num_beams=2, max_length=6, min_length=6, no_repeat_ngram=1)
    request = DecodingRequest(id=0, input_ids=CONTEXT, config=config)
    found = decode(RecurrentModel(VOCABULARY, 1), [request], start_id=START, eos_id=EOS, pad_id=PAD)[0]
    assert sorted(h.token_ids for h in found) == [(2, 3), (3, 2)]  # all but start, end and these is said: two tokens
    assert not any(h.finished for h in found)
    assert all(math.isfinite(h.score) for h in found)


def test_no_token_at_all_gives_no_hypothesis() -> None:
    banned = tuple((token,) for token in range(VOCABULARY))
    for strategy in Strategy:
        config = DecodingConfig(strategy=strategy, num_beams=2, max_length=3, delay_steps=1)
        request = DecodingRequest(id=0, input_ids=CONTEXT, config=config, banned=banned)
        assert decode(RecurrentModel(VOCABULARY, 1), [request], start_id=START, eos_id=EOS, pad_id=PAD) == [[]]
