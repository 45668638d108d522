"""Diverse and delayed beam search and the samplers: against slow, plain forms of them, and at their limits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import PRESETS, DecodingConfig, Strategy
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.scoring import score
from dialogue.decoding.search import decode
from tests.dialogue.decoding.tiny_models import RecurrentModel

START, EOS, PAD = 0, 1, 2
VOCABULARY = 9
CONTEXT = (3, 4, 5)
Path = tuple[tuple[int, ...], float]


def found(model: RecurrentModel, config: DecodingConfig) -> list[Hypothesis]:
    request = DecodingRequest(id=0, input_ids=CONTEXT, config=config)
    return decode(model, [request], start_id=START, eos_id=EOS, pad_id=PAD)[0]


def next_log_probs(model: RecurrentModel, reply: Sequence[int]) -> list[float]:
    rivals = [(*reply, token) for token in range(VOCABULARY)]
    return [tokens[-1] for tokens in score(model, [CONTEXT] * VOCABULARY, rivals, start_id=START, pad_id=PAD)]


def slow_diverse_beam(model: RecurrentModel, config: DecodingConfig) -> list[Path]:
    """Vijayakumar et al. 2018, algorithm 1, group after group and token after token; (reply, score) best first."""
    width = config.num_beams // config.num_groups
    live: list[list[Path]] = [[((), 0.0)] for _ in range(config.num_groups)]
    pools: list[list[Path]] = [[] for _ in live]
    closed = [False] * len(live)
    for length in range(1, config.max_length + 1):
        chosen: Counter[int] = Counter()
        for group, paths in enumerate(live):
            if closed[group]:
                continue
            options = [
                ((*reply, token), total + log_prob - config.diversity_penalty * chosen[token])
                for reply, total in paths
                for token, log_prob in enumerate(next_log_probs(model, reply))
            ]
            best = sorted(options, key=lambda path: -path[1])[: 2 * width]
            ends = [reply[-1] == EOS or length == config.max_length for reply, _ in best]
            pools[group] += [
                (r, s / length**config.length_penalty) for (r, s), end in zip(best[:width], ends, strict=False) if end
            ]
            pools[group] = sorted(pools[group], key=lambda path: -path[1])[:width]
            live[group] = [path for path, end in zip(best, ends, strict=True) if not end][:width]
            chosen.update([reply[-1] for reply, _ in best if reply[-1] != EOS][:width])
            closed[group] = len(pools[group]) == width
    return sorted((path for pool in pools for path in pool), key=lambda path: -path[1])


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6), st.sampled_from([(4, 2), (6, 3), (3, 3), (4, 1)]), st.sampled_from([0.0, 0.5, 2.0]),
    st.integers(1, 5), st.sampled_from([0.0, 1.0]),
)  # fmt: skip
def test_diverse_beam_search_equals_its_slow_plain_form(
    seed: int, beams: tuple[int, int], penalty: float, max_length: int, alpha: float
) -> None:
    config = DecodingConfig(
        strategy=Strategy.DIVERSE_BEAM, num_beams=beams[0], num_groups=beams[1], diversity_penalty=penalty,
        max_length=max_length, length_penalty=alpha, num_return=beams[0],
    )  # fmt: skip
    model = RecurrentModel(VOCABULARY, seed)
    wanted = slow_diverse_beam(model, config)
    mine = found(model, config)
    assert [h.score for h in mine] == pytest.approx([value for _, value in wanted], abs=1e-4)
    assert sorted(h.token_ids for h in mine) == sorted(reply for reply, _ in wanted)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 6))
def test_diverse_beam_search_with_one_group_and_delayed_without_delay_are_beam_search(
    seed: int, beams: int, max_length: int
) -> None:
    model = RecurrentModel(VOCABULARY, seed)
    beam = DecodingConfig(num_beams=max(beams, 2), max_length=max_length, min_length=min(2, max_length))
    plain = found(model, beam)
    assert found(model, beam.with_(strategy=Strategy.DIVERSE_BEAM, diversity_penalty=3.0)) == plain
    assert found(model, beam.with_(strategy=Strategy.DELAYED_BEAM, delay_steps=0, seed=4)) == plain


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_beam_delayed_to_the_end_is_sampling(seed: int, dice: int) -> None:
    model = RecurrentModel(VOCABULARY, seed)
    config = DecodingConfig(
        strategy=Strategy.DELAYED_BEAM, num_beams=4, delay_steps=6, max_length=6, top_k=5, seed=dice, length_penalty=1.0
    )
    samples = found(model, config.with_(strategy=Strategy.SAMPLE, samples=4))
    delayed = found(model, config)
    firsts = {h.token_ids[0] for h in samples}
    assert {h.token_ids for h in delayed} <= {h.token_ids for h in samples}
    assert {h.token_ids[0] for h in delayed} == firsts  # two that draw the same first token are one
    for hypothesis in delayed:
        assert hypothesis.score == pytest.approx(hypothesis.log_prob / len(hypothesis.token_ids), abs=1e-5)


@pytest.mark.parametrize("strategy", [Strategy.SAMPLE, Strategy.SAMPLE_AND_RANK, Strategy.DELAYED_BEAM])
def test_the_same_seed_says_the_same_and_another_seed_something_else(strategy: Strategy) -> None:
    model = RecurrentModel(VOCABULARY, 1, sharpness=1.0)
    config = DecodingConfig(
        strategy=strategy, num_beams=4, samples=4, max_length=8, min_length=8, delay_steps=8, seed=7
    )
    assert found(model, config) == found(model, config)
    assert found(model, config) != found(model, config.with_(seed=8))
    assert found(model, config.with_(seed=None)) != found(model, config.with_(seed=None))


def test_more_samples_keep_the_first_ones() -> None:
    model = RecurrentModel(VOCABULARY, 2)
    config = DecodingConfig(strategy=Strategy.SAMPLE, samples=3, num_return=9, max_length=6, seed=5)
    assert found(model, config.with_(samples=9))[:3] == found(model, config)


def test_sampling_keeps_the_order_of_drawing_and_ranking_sorts_by_mean_log_probability() -> None:
    model = RecurrentModel(VOCABULARY, 3)
    config = DecodingConfig(strategy=Strategy.SAMPLE, samples=8, num_return=8, max_length=6, seed=6)
    drawn = found(model, config)
    ranked = found(model, config.with_(strategy=Strategy.SAMPLE_AND_RANK))
    assert sorted(drawn, key=lambda h: -h.score) == ranked
    assert drawn != ranked
    for hypothesis in drawn:
        assert hypothesis.score == pytest.approx(hypothesis.log_prob / len(hypothesis.token_ids), abs=1e-6)


def test_samples_come_as_often_as_the_model_says() -> None:
    model = RecurrentModel(VOCABULARY, 4, sharpness=1.0)
    count = 4000
    config = DecodingConfig(strategy=Strategy.SAMPLE, samples=count, num_return=count, max_length=1, seed=1)
    seen = Counter(h.token_ids[0] for h in found(model, config))
    for token, log_prob in enumerate(next_log_probs(model, ())):
        assert abs(seen[token] / count - math.exp(log_prob)) < 4 * (0.25 / count) ** 0.5


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"meena", "meena-topk", "meena-pmi"}))
def test_log_prob_is_the_models_own_whatever_rules_and_warpers_do(name: str) -> None:
    model = RecurrentModel(40, 5)
    config = PRESETS[name].with_(max_length=9, min_length=4, repetition_penalty=1.3, seed=3)
    for hypothesis in found(model, config):
        own = score(model, [CONTEXT], [hypothesis.token_ids], start_id=START, pad_id=PAD)[0]
        assert hypothesis.log_prob == pytest.approx(sum(own), abs=1e-4)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_answers(name: str) -> None:
    hypotheses = found(RecurrentModel(40, 6), PRESETS[name].with_(seed=1))
    assert 1 <= len(hypotheses) <= PRESETS[name].num_return
