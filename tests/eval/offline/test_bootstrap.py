from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eval.offline import bootstrap
from eval.offline.metrics.table import mean


def parts_of(values: list[float]) -> bootstrap.Array:
    return np.array([[value, 1.0] for value in values])


def test_the_interval_of_a_mean_agrees_with_scipys_bootstrap() -> None:
    values = np.random.default_rng(1).exponential(size=80)
    own = bootstrap.estimate(parts_of(values.tolist()), [str(n) for n in range(80)], mean, times=4000)
    other = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", random_state=2)
    assert own.value == pytest.approx(values.mean())
    assert own.low == pytest.approx(other.confidence_interval.low, abs=0.03)
    assert own.high == pytest.approx(other.confidence_interval.high, abs=0.03)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(size=40).tolist()
        found = bootstrap.estimate(parts_of(values), [str(n) for n in range(40)], mean, times=300, seed=seed)
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_turns_of_one_conversation_do_not_count_as_independent() -> None:
    values = [float(n) for n in np.random.default_rng(3).normal(size=20) for _ in range(5)]
    alone = bootstrap.estimate(parts_of(values), [str(n) for n in range(100)], mean)
    grouped = bootstrap.estimate(parts_of(values), [str(n // 5) for n in range(100)], mean)
    assert grouped.groups == 20 and (grouped.high - grouped.low) > 1.5 * (alone.high - alone.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    data, groups = parts_of([1.0, 2.0, 4.0, 8.0]), ["a", "b", "c", "d"]
    assert bootstrap.estimate(data, groups, mean, seed=5) == bootstrap.estimate(data, groups, mean, seed=5)
    assert bootstrap.estimate(data, groups, mean, seed=5) != bootstrap.estimate(data, groups, mean, seed=6)


def test_a_paired_comparison_sees_what_two_intervals_hide() -> None:
    noise = np.random.default_rng(4).normal(scale=10, size=60)
    first, second = parts_of(noise.tolist()), parts_of((noise + 0.5).tolist())
    found = bootstrap.paired(first, second, [str(n) for n in range(60)], mean)
    assert found.value == pytest.approx(0.5) and found.low == pytest.approx(0.5) and found.p < 0.01


def test_equal_runs_do_not_differ() -> None:
    data = parts_of([1.0, 2.0, 3.0])
    found = bootstrap.paired(data, data, ["a", "b", "c"], mean)
    assert (found.value, found.low, found.high, found.effect, found.p) == (0, 0, 0, 0, 1.0)


def by_definition(p_values: list[float]) -> list[float]:
    """Holm 1979: the i-th smallest p-value (from 0) times m - i, at least as large as the ones before it, at most 1."""
    ordered = sorted(p_values)
    steps = [min(1.0, (len(ordered) - i) * p) for i, p in enumerate(ordered)]
    return [max(steps[: ordered.index(p) + 1]) for p in p_values]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True))
def test_holm_equals_its_definition(p_values: list[float]) -> None:
    assert bootstrap.holm(p_values) == pytest.approx(by_definition(p_values))


def test_holm_leaves_out_what_is_not_known() -> None:
    adjusted = bootstrap.holm([0.01, float("nan"), 0.04])
    assert adjusted[0] == 0.02 and np.isnan(adjusted[1]) and adjusted[2] == 0.04


def test_the_jackknife_error_of_a_mean_is_the_textbook_one() -> None:
    values = np.random.default_rng(6).normal(size=20)
    found = bootstrap.jackknife([str(n) for n in range(20)], lambda rows: float(values[rows].mean()))
    assert (found.high - found.value) / 1.96 == pytest.approx(values.std(ddof=1) / 20**0.5)


def test_nothing_measured_is_no_number() -> None:
    found = bootstrap.estimate(np.empty((0, 2)), [], mean)
    assert found.count == 0 and found.as_dict()["value"] is None
