"""The best few of very many, found in blocks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.decoding.topk import top


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5000), st.integers(1, 24), st.integers(1, 3))
def test_the_best_are_torchs_best(seed: int, size: int, k: int, rows: int) -> None:
    k = min(k, size)
    scores = torch.randn(rows, 2, size, generator=torch.Generator().manual_seed(seed))
    scores[scores > 1.5] = -torch.inf
    values, places = top(scores, k)
    assert torch.equal(values, scores.topk(k, dim=-1).values)
    assert torch.equal(scores.gather(-1, places), values)
    assert all(len(set(row)) == k for row in places.flatten(0, 1).tolist())


@pytest.mark.parametrize("size", [63, 64, 65, 4096, 50_001])
def test_rows_of_equal_scores_still_give_different_places(size: int) -> None:
    _, places = top(torch.full((1, size), -torch.inf), min(20, size))
    assert len(set(places[0].tolist())) == min(20, size)
