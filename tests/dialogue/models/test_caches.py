"""The caches' own promises: who shares cells, who has them alone, and what is moved when rows come and go."""

from __future__ import annotations

import random

import pytest
import torch

from dialogue.models.aligned import EncoderKind
from dialogue.models.caches import ALONE_AFTER, GROWTH, RowGroups, free_places
from tests.dialogue.models.test_aligned_decoding import KINDS, Walk
from tests.dialogue.models.tiny_aligned import VOCABULARY

DICE = random.Random(5)


def said(walk: Walk) -> list[int]:
    return [DICE.randrange(VOCABULARY) for _ in walk.rows]


def samples(kind: EncoderKind, steps: int) -> Walk:
    """Three samples of each of two conversations, the first token said by one row for all."""
    walk = Walk(kind, [[1, 2, 3], [4, 5]])
    walk.step(said(walk))
    walk.reorder([0, 0, 0, 1, 1, 1])
    for _ in range(steps):
        walk.step(said(walk))
    return walk


def beams(kind: EncoderKind, steps: int) -> Walk:
    """Four hypotheses of one conversation that keep going several ways."""
    walk = Walk(kind, [[6, 7, 8, 9]])
    walk.step(said(walk))
    walk.reorder([0, 0, 0, 0])
    for _ in range(steps):
        walk.step(said(walk))
        walk.reorder([DICE.randrange(4) for _ in range(4)])
    return walk


@pytest.mark.parametrize("kind", KINDS)
def test_samples_get_cells_of_their_own_and_go_on_as_before(kind: EncoderKind) -> None:
    walk = samples(kind, ALONE_AFTER + 2)
    assert walk.state.prefix.alone
    for kept in ([0, 2, 3, 4, 5], [1, 2, 4], [2], [0]):
        walk.reorder(kept)
        walk.step(said(walk))
    assert walk.state.prefix.alone


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_go_two_ways_after_all_share_their_cells_again(kind: EncoderKind) -> None:
    walk = samples(kind, ALONE_AFTER + 2)
    walk.reorder([0, 0, 2, 4, 4, 4])
    assert not walk.state.prefix.alone
    walk.step(said(walk))
    walk.reorder([1, 1, 5])
    walk.step(said(walk))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [samples, beams])
@pytest.mark.parametrize("second", [samples, beams])
def test_samples_and_beams_may_share_a_batch(kind: EncoderKind, first: object, second: object) -> None:
    assert callable(first) and callable(second)
    walk, other = first(kind, ALONE_AFTER + 2), second(kind, ALONE_AFTER + 1)
    walk.reorder(list(range(1, len(walk.rows))))
    walk.join(other)
    for _ in range(2):
        walk.step(said(walk))
        walk.reorder(list(range(1, len(walk.rows))))
    newcomer = Walk(kind, [[1], [2, 3, 4, 5, 6, 7]])
    walk.join(newcomer)
    walk.step(said(walk))
    walk.reorder([*range(len(walk.rows)), len(walk.rows) - 1])
    walk.step(said(walk))


def test_a_long_beam_search_needs_no_more_cells_than_its_rows_see() -> None:
    walk = beams("causal", GROWTH)
    seen = walk.state.prefix.extent
    assert seen < 4 * GROWTH // 2


def test_a_newcomer_takes_the_place_of_one_who_left() -> None:
    walk = Walk("causal", [[1, 2], [3, 4], [5, 6]])
    walk.step(said(walk))
    before = walk.state.context.layer(0)[0].data_ptr()
    walk.reorder([0, 2])
    walk.join(Walk("causal", [[7]]))
    walk.step(said(walk))
    assert walk.state.context.layer(0)[0].data_ptr() == before
    assert walk.state.groups.group.tolist() == [0, 2, 1]


def test_uneven_groups_are_spread_and_collected_without_loss() -> None:
    groups = RowGroups(torch.tensor([2, 0, 2, 3]), 4)
    rows = torch.arange(8.0).view(4, 2)
    grid = groups.spread(rows)
    assert grid.shape == (4, 2, 2)
    assert torch.equal(groups.collect(grid), rows)
    assert torch.equal(grid[2], rows[[0, 2]])


def test_free_places_are_the_lowest() -> None:
    assert free_places(torch.tensor([0, 3, 1]), 3).tolist() == [2, 4, 5]


@pytest.mark.parametrize("kind", KINDS)
def test_a_conversation_may_have_more_rows_than_cells_are_added_at_a_time(kind: EncoderKind) -> None:
    walk = Walk(kind, [[1, 2, 3]])
    for rows in (1, 3, 3 * GROWTH):
        walk.step(said(walk))
        walk.reorder([DICE.randrange(len(walk.rows)) for _ in range(rows)])
    walk.step(said(walk))
