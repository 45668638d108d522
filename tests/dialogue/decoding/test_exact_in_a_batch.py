"""A conversation's reply depends on nobody else: alone, padded, in a crowd, with rows that leave and that enter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import DecodingConfig, LengthPenalty, Strategy
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.search import Decoder, decode
from tests.dialogue.decoding.tiny_models import LonelyModel, RecurrentModel

VOCABULARY = 13
START, EOS, PAD = 0, 1, 2
MODELS = [RecurrentModel(VOCABULARY, seed) for seed in range(6)]


@st.composite
def configurations(draw: st.DrawFn) -> DecodingConfig:
    strategy = draw(st.sampled_from(Strategy))
    groups = draw(st.sampled_from([1, 2])) if strategy is Strategy.DIVERSE_BEAM else 1
    beams = groups * draw(st.integers(1, 3))
    max_length = draw(st.integers(1, 9))
    return DecodingConfig(
        strategy=strategy,
        num_beams=beams,
        num_return=draw(st.integers(1, 4)),
        max_length=max_length,
        min_length=draw(st.integers(0, max_length)),
        length_penalty=draw(st.sampled_from([0.0, 0.7, 1.0])),
        length_penalty_kind=draw(st.sampled_from(LengthPenalty)),
        early_stopping=draw(st.sampled_from([True, False])),
        no_repeat_ngram=draw(st.sampled_from([0, 2, 3])),
        no_repeat_context_ngram=draw(st.sampled_from([0, 2])),
        repetition_penalty=draw(st.sampled_from([1.0, 1.2])),
        samples=draw(st.integers(1, 4)),
        temperature=draw(st.sampled_from([0.7, 1.0])),
        top_k=draw(st.sampled_from([0, 4])),
        top_p=draw(st.sampled_from([0.8, 1.0])),
        typical_p=draw(st.sampled_from([0.8, 1.0])),
        seed=draw(st.integers(0, 2**40)),
        num_groups=groups,
        diversity_penalty=0.5 if groups > 1 else 0.0,
        delay_steps=draw(st.integers(0, 3)),
    )


TOKENS = st.integers(3, VOCABULARY - 1)
CONTEXTS = st.lists(TOKENS, min_size=1, max_size=8)
PHRASES = st.lists(st.lists(TOKENS, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple)


@dataclass(frozen=True)
class Talk:
    """Somebody's request, without an id."""

    context: tuple[int, ...]
    config: DecodingConfig
    banned: tuple[tuple[int, ...], ...] = ()

    def request(self, number: int) -> DecodingRequest:
        return DecodingRequest(id=number, input_ids=self.context, config=self.config, banned=self.banned)


TALKS = st.builds(Talk, CONTEXTS.map(tuple), configurations(), PHRASES)


def answers(model: LonelyModel, talks: Sequence[Talk]) -> list[list[Hypothesis]]:
    requests = [talk.request(number) for number, talk in enumerate(talks)]
    return decode(model, requests, start_id=START, eos_id=EOS, pad_id=PAD)


def assert_same(first: Sequence[Hypothesis], second: Sequence[Hypothesis]) -> None:
    assert [h.token_ids for h in first] == [h.token_ids for h in second]
    assert [h.score for h in first] == pytest.approx([h.score for h in second], abs=1e-5)
    assert [h.log_prob for h in first] == pytest.approx([h.log_prob for h in second], abs=1e-5)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(MODELS), st.lists(TALKS, min_size=1, max_size=4), st.data())
def test_a_conversation_gets_the_same_answer_alone_and_in_a_crowd(
    model: RecurrentModel, talks: list[Talk], data: st.DataObject
) -> None:
    copies = data.draw(st.integers(0, len(talks) - 1))
    crowd = [*talks, talks[copies]]
    together = answers(model, crowd)
    for talk, answer in zip(crowd, together, strict=True):
        assert_same(answer, answers(model, [talk])[0])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(MODELS), st.lists(TALKS, min_size=2, max_size=5), st.data())
def test_dropping_one_row_at_any_step_leaves_the_others_unchanged(
    model: RecurrentModel, talks: list[Talk], data: st.DataObject
) -> None:
    decoder = Decoder(model, start_id=START, eos_id=EOS, pad_id=PAD)
    leaving = {number: data.draw(st.integers(0, 6)) for number in range(0, len(talks), 2)}
    decoder.admit([talk.request(number) for number, talk in enumerate(talks)])
    found: dict[int, list[Hypothesis]] = {}
    for step in range(10):
        for number, when in leaving.items():
            if when == step:
                assert decoder.drop(number) == (number not in found)
        if decoder.live:
            found.update({finished.id: finished.hypotheses for finished in decoder.step()})
    assert not decoder.live
    assert set(found) >= set(range(1, len(talks), 2))
    for number, answer in found.items():
        assert_same(answer, answers(model, [talks[number]])[0])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(MODELS), st.lists(TALKS, min_size=1, max_size=6), st.data())
def test_a_newcomer_gets_the_same_answer_and_so_does_everybody_it_joins(
    model: RecurrentModel, talks: list[Talk], data: st.DataObject
) -> None:
    decoder = Decoder(model, start_id=START, eos_id=EOS, pad_id=PAD)
    arrives = [data.draw(st.integers(0, 8)) for _ in talks]
    found: dict[int, list[Hypothesis]] = {}
    for step in range(20):
        decoder.admit([talk.request(n) for n, talk in enumerate(talks) if arrives[n] == step])
        if decoder.live:
            found.update({finished.id: finished.hypotheses for finished in decoder.step()})
    assert len(found) == len(talks)
    for number, answer in found.items():
        assert_same(answer, answers(model, [talks[number]])[0])


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MODELS), TALKS)
def test_lengths_are_kept_and_no_ngram_comes_twice(model: RecurrentModel, talk: Talk) -> None:
    config = talk.config
    for hypothesis in answers(model, [talk])[0]:
        ids = hypothesis.token_ids
        assert 1 <= len(ids) <= config.max_length
        if hypothesis.finished:
            assert ids[-1] == EOS and EOS not in ids[:-1]
            assert len(ids) >= config.min_length
        assert not _repeated((START, *ids), config.no_repeat_ngram)
        if config.no_repeat_context_ngram:
            assert not _ngrams(ids, config.no_repeat_context_ngram) & _ngrams(
                talk.context, config.no_repeat_context_ngram
            )
        for phrase in talk.banned:
            assert phrase not in _ngrams(ids, len(phrase))


def _ngrams(ids: Sequence[int], n: int) -> set[tuple[int, ...]]:
    return {tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)}


def _repeated(ids: Sequence[int], n: int) -> bool:
    return bool(n) and len(_ngrams(ids, n)) < len(ids) - n + 1


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(MODELS), CONTEXTS, CONTEXTS, st.integers(1, 3))
def test_nobodys_blocked_ngrams_leak_into_anothers_reply(
    model: RecurrentModel, context: list[int], other: list[int], n: int
) -> None:
    blocking = DecodingConfig(num_beams=2, num_return=2, max_length=6, no_repeat_context_ngram=n)
    free = DecodingRequest(id=0, input_ids=context, context_ids=(), config=blocking)
    strict = DecodingRequest(id=1, input_ids=context, context_ids=other, config=blocking)
    alone = decode(model, [free], start_id=START, eos_id=EOS, pad_id=PAD)
    together = decode(model, [strict, free], start_id=START, eos_id=EOS, pad_id=PAD)
    assert_same(together[1], alone[0])
    for hypothesis in together[0]:
        assert not _ngrams(hypothesis.token_ids, n) & _ngrams(other, n)


def test_a_model_that_cannot_join_takes_newcomers_only_when_nothing_is_live() -> None:
    decoder = Decoder(LonelyModel(VOCABULARY), start_id=START, eos_id=EOS, pad_id=PAD)
    talk = Talk((3, 4), DecodingConfig(num_beams=2, max_length=3))
    assert decoder.can_admit
    decoder.admit([talk.request(0)])
    assert not decoder.can_admit
    with pytest.raises(ValueError, match="newcomers"):
        decoder.admit([talk.request(1)])
    while decoder.live:
        decoder.step()
    assert decoder.can_admit


def test_two_live_requests_cannot_share_an_id() -> None:
    decoder = Decoder(RecurrentModel(VOCABULARY), start_id=START, eos_id=EOS, pad_id=PAD)
    talk = Talk((3, 4), DecodingConfig(num_beams=2, max_length=3))
    with pytest.raises(ValueError, match="id of its own"):
        decoder.admit([talk.request(0), talk.request(0)])


def test_progress_counts_the_tokens_of_each_request() -> None:
    heard: list[dict[int, int]] = []
    decoder = Decoder(
        RecurrentModel(VOCABULARY), start_id=START, eos_id=EOS, pad_id=PAD, on_step=lambda p: heard.append(dict(p))
    )
    config = DecodingConfig(num_beams=2, min_length=4, max_length=4)
    decoder.admit([Talk((3, 4), config).request(7)])
    decoder.step()
    decoder.admit([Talk((5,), config).request(8)])
    while decoder.live:
        decoder.step()
    assert heard == [{7: 1}, {7: 2, 8: 1}, {7: 3, 8: 2}, {8: 3}, {}]


def test_the_encoder_runs_once_however_many_samples_are_drawn() -> None:
    model = RecurrentModel(VOCABULARY)
    config = DecodingConfig(strategy=Strategy.SAMPLE_AND_RANK, samples=20, num_return=20, max_length=5, seed=1)
    assert len(answers(model, [Talk((3, 4), config)])[0]) == 20
    assert model.encodings == 1
    assert model.rows_stepped <= 1 + 4 * 20


def test_finished_samples_free_their_rows_at_once() -> None:
    model = RecurrentModel(VOCABULARY, sharpness=0.5)
    config = DecodingConfig(strategy=Strategy.SAMPLE, samples=30, num_return=30, max_length=12, seed=3)
    found = answers(model, [Talk((3, 4), config)])[0]
    assert model.rows_stepped == 1 + sum(len(h.token_ids) - 1 for h in found)
