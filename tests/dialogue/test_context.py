from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dialogue.context import fit

ids = st.lists(st.integers(0, 9), max_size=12)


@given(head=ids, turns=st.lists(ids, max_size=8), budget=st.integers(0, 60))
def test_the_budget_is_never_exceeded(head: list[int], turns: list[list[int]], budget: int) -> None:
    assert len(fit(head, turns, budget)) <= budget


@given(head=ids, turns=st.lists(ids, max_size=8), budget=st.integers(24, 60))
def test_a_head_within_half_the_budget_is_always_whole_and_first(
    head: list[int], turns: list[list[int]], budget: int
) -> None:
    assert fit(head, turns, budget)[: len(head)] == head


@given(head=ids, turns=st.lists(ids, min_size=1, max_size=8), budget=st.integers(0, 60))
def test_what_is_kept_of_the_turns_is_their_end(head: list[int], turns: list[list[int]], budget: int) -> None:
    everything = [token for turn in turns for token in turn]
    kept = fit([], turns, budget)
    assert kept == everything[len(everything) - len(kept) :]


def test_only_whole_turns_are_kept_but_for_a_newest_one_that_is_too_long() -> None:
    assert fit([1], [[2, 2], [3, 3], [4, 4]], 6) == [1, 3, 3, 4, 4]
    assert fit([1], [[2, 2], [3, 4, 5, 6, 7, 8]], 5) == [1, 5, 6, 7, 8]


def test_a_persona_survives_two_hundred_turns() -> None:
    persona, turns = list(range(100, 140)), [[turn] * 9 for turn in range(200)]
    kept = fit(persona, turns, 128)
    assert kept[:40] == persona
    assert kept[-9:] == [199] * 9


def test_a_huge_persona_leaves_half_of_the_budget_to_the_newest_turn() -> None:
    kept = fit([1] * 500, [[2] * 500], 100)
    assert kept == [1] * 50 + [2] * 50
