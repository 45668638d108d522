"""The shapes given to distributions before a token is drawn, against transformers and against their definitions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation import logits_process as peers

from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.randomness import uniforms
from dialogue.decoding.warpers import Temperature, TopK, TopP, Typical, Warper, draw, warp, warpers_for
from dialogue.errors import UserError

NO_IDS = torch.zeros(1, 1, dtype=torch.long)


def random_scores(seed: int, rows: int = 3, size: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(rows, size, generator=generator)).log_softmax(dim=-1)


PEERS: list[tuple[Warper, Callable[[Tensor, Tensor], Tensor]]] = [
    (Temperature(0.7), peers.TemperatureLogitsWarper(0.7)),
    (TopK(5), peers.TopKLogitsWarper(5)),
    (TopK(99), peers.TopKLogitsWarper(99)),
    (TopP(0.8), peers.TopPLogitsWarper(0.8)),
    (TopP(0.05), peers.TopPLogitsWarper(0.05)),
    (Typical(0.6), peers.TypicalLogitsWarper(0.6)),
    (Typical(0.05), peers.TypicalLogitsWarper(0.05)),
]


@pytest.mark.parametrize(("mine", "theirs"), PEERS)
def test_a_warper_equals_transformers(mine: Warper, theirs: Callable[[Tensor, Tensor], Tensor]) -> None:
    for seed in range(30):
        scores = random_scores(seed)
        before = scores.clone()
        assert torch.equal(mine(scores), theirs(NO_IDS, scores))
        assert torch.equal(scores, before)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 1.0))
def test_the_nucleus_is_the_smallest_set_of_best_tokens_that_reaches_p(seed: int, p: float) -> None:
    scores = random_scores(seed, rows=1)
    kept = TopP(p)(scores).isfinite()[0]
    probs = scores[0].double().softmax(dim=0)
    assert probs[kept].sum() >= p - 1e-6  # the nucleus is found with sums of float32 probabilities
    assert probs[kept].sum() - probs[kept].min() < p + 1e-6
    assert kept.all() or probs[kept].min() >= probs[~kept].max()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 1.0))
def test_typical_keeps_the_tokens_nearest_the_entropy(seed: int, p: float) -> None:
    scores = random_scores(seed, rows=1)
    kept = Typical(p)(scores).isfinite()[0]
    log_probs = scores[0].double()
    distance = (log_probs + -(log_probs.exp() * log_probs).sum()).abs()
    assert log_probs.exp()[kept].sum() >= p - 1e-6
    assert kept.all() or distance[kept].max() <= distance[~kept].min()


@pytest.mark.parametrize("warper", [TopK(1), TopP(1e-6), Typical(1e-6)])
def test_some_token_is_always_left(warper: Warper) -> None:
    assert warper(random_scores(1)).isfinite().any(dim=-1).all()


def test_impossible_tokens_stay_impossible() -> None:
    scores = random_scores(2)
    scores[:, ::2] = -torch.inf
    config = DecodingConfig(temperature=0.5, top_k=7, top_p=0.9, typical_p=0.9)
    assert torch.isinf(warp(scores, warpers_for(config))[:, ::2]).all()


@pytest.mark.parametrize(
    "make", [lambda: Temperature(0.0), lambda: TopK(0), lambda: TopP(0.0), lambda: TopP(1.5), lambda: Typical(-1.0)]
)
def test_a_warper_that_makes_no_sense_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(UserError):
        make()


def test_a_draw_inverts_the_cumulative_distribution_in_vocabulary_order() -> None:
    scores = torch.tensor([0.1, 0.0, 0.5, 0.4]).log().expand(5, -1)
    numbers = torch.tensor([0.0, 0.099, 0.101, 0.599, 0.601], dtype=torch.double)
    assert draw(scores, numbers).tolist() == [0, 0, 2, 2, 3]


def test_draws_follow_the_distribution() -> None:
    probs = torch.tensor([0.05, 0.2, 0.0, 0.45, 0.3])
    count = 20_000
    tokens = draw(probs.log().expand(count, -1), uniforms(5, 1, count)[0])
    found = torch.bincount(tokens, minlength=5) / count
    assert (found - probs).abs().max() < 4 * (0.25 / count) ** 0.5


def test_the_numbers_of_a_sample_do_not_depend_on_how_many_samples_there_are() -> None:
    assert torch.equal(uniforms(9, 2, 6), uniforms(9, 5, 6)[:2])
    assert not torch.equal(uniforms(9, 1, 6), uniforms(10, 1, 6))
    assert len({tuple(row) for seed in range(20) for row in uniforms(seed, 20, 3).tolist()}) == 400
