from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.training.losses import NOBODY, LossSettings, repeats, reply_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("unlikelihood", [0.0, 0.7])
def test_the_lean_path_has_the_loss_and_gradient_of_the_plain_one(smoothing: float, unlikelihood: float) -> None:
    torch.manual_seed(0)
    states, head = torch.randn(300, 16, requires_grad=True), torch.randn(50, 16)
    labels, weights = torch.randint(0, 50, (300,)), torch.rand(300)
    unwanted = torch.randint(-1, 50, (300, 7)) if unlikelihood else None
    kind = LossSettings(smoothing, unlikelihood)
    lean = reply_loss(states, head, labels, weights, unwanted, kind)
    plain = reply_loss(states, head.clone().requires_grad_(), labels, weights, unwanted, kind)
    torch.testing.assert_close(lean, plain)
    ours, theirs = (torch.autograd.grad(loss, states)[0] for loss in (lean, plain))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_unlikelihood_makes_a_repeated_word_less_likely() -> None:
    states = torch.zeros(1, 4, requires_grad=True)
    head, label = torch.eye(4), torch.tensor([0])
    for weight, expected in ((0.0, True), (2.0, False)):
        loss = reply_loss(states, head, label, torch.ones(1), torch.tensor([[1]]), LossSettings(unlikelihood=weight))
        (gradient,) = torch.autograd.grad(loss, states)
        assert (gradient[0, 1] == gradient[0, 2]) == expected
        assert gradient[0, 1] >= gradient[0, 2]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(1, 3))
def test_repeats_are_exactly_the_words_that_would_repeat_an_ngram(words: list[int], ngram: int) -> None:
    labels = [*words[1:], 9]
    found = repeats(torch.tensor([words]), torch.tensor([labels]), ngram)[0]
    for at in range(len(words)):
        prefix = words[: at + 1]
        grams = {tuple(prefix[i : i + ngram]) for i in range(len(prefix) - ngram + 1)}
        tail = tuple(prefix[len(prefix) - ngram + 1 :]) if ngram > 1 else ()
        expected = {word for word in range(4) if (*tail, word) in grams} - {labels[at]}
        assert set(found[at].tolist()) - {NOBODY} == expected
