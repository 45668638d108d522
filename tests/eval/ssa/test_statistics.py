from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.ssa.agreement import agreement, alpha
from eval.ssa.pairwise import Choice, duels, strengths
from eval.ssa.planning import (
    Assumptions,
    conversations_needed,
    plans,
    power,
    seen,
    simulate,
    slip_from_alpha,
    smallest_difference,
)
from eval.ssa.sequential import Advice, look
from eval.ssa.statistics import clustered_mean, compare, intraclass_correlation
from eval.ssa.votes import Floats, RatedReply, Vote


def names(values: Floats, prefix: str = "") -> list[str]:
    return [f"{prefix}{row}" for row in range(values.shape[0]) for _ in range(values.shape[1])]


@pytest.mark.parametrize(
    ("assumed", "conversations", "raters"),
    [
        (Assumptions(difference=0.0, icc=0.0, replies_per_conversation=1), 300, 1),
        (Assumptions(difference=0.0, icc=0.1), 100, 3),
        (Assumptions(difference=0.0, sensible=0.9, specific=0.7, icc=0.2, replies_per_conversation=5), 30, 1),
        (Assumptions(difference=0.0, sensible=0.6, specific=0.2, icc=0.2), 20, 5),
    ],
    ids=["one reply each", "clustered", "few and high", "few and low"],
)
def test_95_percent_intervals_cover_93_to_97_percent_of_2000_studies(
    assumed: Assumptions, conversations: int, raters: int
) -> None:
    random = np.random.default_rng(4)
    truth = float(assumed.rates()[0] @ seen(assumed.slip, raters) @ np.array([0.0, 0.5, 1.0]))
    hits = 0
    for _ in range(1000):
        for scores in simulate(assumed, conversations, raters, random):
            found = clustered_mean(scores.ravel().tolist(), names(scores))
            hits += found.low <= truth <= found.high
    assert 0.93 <= hits / 2000 <= 0.97


def test_an_interval_that_ignores_clusters_would_not_cover() -> None:
    random, assumed = np.random.default_rng(5), Assumptions(difference=0.0, icc=0.3)
    truth = float(assumed.rates()[0] @ seen(assumed.slip, 1) @ np.array([0.0, 0.5, 1.0]))
    hits = 0
    for _ in range(500):
        scores, _ = simulate(assumed, 60, 1, random)
        found = clustered_mean(scores.ravel().tolist(), [str(i) for i in range(scores.size)])
        hits += found.low <= truth <= found.high
    assert hits / 500 < 0.93


def test_the_standard_error_is_that_of_a_cluster_robust_regression() -> None:
    sm = pytest.importorskip("statsmodels.api")
    scores, _ = simulate(Assumptions(), 40, 3, np.random.default_rng(1))
    y, groups = scores.ravel(), np.repeat(np.arange(40), 7)
    fit = sm.OLS(y, np.ones_like(y)).fit(
        cov_type="cluster", cov_kwds={"groups": groups, "use_correction": True, "df_correction": True}
    )
    ours = clustered_mean(y.tolist(), [str(g) for g in groups])
    assert ours.standard_error == pytest.approx(float(fit.bse[0]) * np.sqrt((len(y) - 1) / len(y)), rel=1e-2)


def test_intervals_stay_between_0_and_1_and_are_never_empty() -> None:
    for value in (0.0, 1.0):
        found = clustered_mean([value] * 20, [str(i // 2) for i in range(20)])
        assert 0.0 <= found.low < found.high <= 1.0
    assert (clustered_mean([1.0], ["only"]).low, clustered_mean([1.0], ["only"]).high) == (0.0, 1.0)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 5)), min_size=1, max_size=40))
@settings(deadline=None)
def test_an_interval_contains_its_mean(data: list[tuple[float, int]]) -> None:
    found = clustered_mean([v for v, _ in data], [str(c) for _, c in data])
    assert 0.0 <= found.low <= found.mean + 1e-9
    assert found.mean - 1e-9 <= found.high <= 1.0


def test_pairing_the_same_contexts_narrows_a_difference() -> None:
    random = np.random.default_rng(3)
    hard = random.random(200) < 0.5
    a, b = (np.where(hard, random.random(200) < 0.2, random.random(200) < 0.9).astype(float).tolist() for _ in "ab")
    clusters = [str(i) for i in range(200)]
    paired, unpaired = compare(a, clusters, b, clusters), compare(a, clusters, b, [f"other{c}" for c in clusters])
    assert paired.difference == unpaired.difference
    assert paired.high - paired.low < 0.8 * (unpaired.high - unpaired.low)


def test_a_test_of_equal_systems_is_wrong_one_time_in_twenty() -> None:
    random, wrong = np.random.default_rng(9), 0
    for _ in range(1000):
        a, b = simulate(Assumptions(difference=0.0), 40, 1, random)
        wrong += compare(a.ravel().tolist(), names(a, "a"), b.ravel().tolist(), names(b, "b")).p < 0.05
    assert 0.03 <= wrong / 1000 <= 0.07


def rated(matrix: Floats) -> list[RatedReply]:
    """(raters, units), nan where a rater gave no vote."""
    return [
        RatedReply(
            "s",
            str(unit // 2),
            str(unit),
            tuple(Vote(str(r), {"x": int(v)}) for r, v in enumerate(matrix[:, unit]) if v == v),
        )
        for unit in range(matrix.shape[1])
    ]


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("values", [2, 5])
def test_alpha_equals_the_reference_implementation(level: str, values: int) -> None:
    krippendorff = pytest.importorskip("krippendorff")
    random = np.random.default_rng(values)
    for _ in range(20):
        matrix = random.integers(0, values, size=(4, 30)).astype(float)
        matrix[random.random(matrix.shape) < 0.3] = np.nan
        reference = krippendorff.alpha(reliability_data=matrix, level_of_measurement=level)
        found = agreement(rated(matrix), "x", level=level, draws=5)  # type: ignore[arg-type]
        assert found.alpha == pytest.approx(reference, abs=1e-12)


def test_alpha_of_the_example_in_krippendorffs_own_paper() -> None:
    nan = float("nan")
    matrix = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
            [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
        ]
    )
    assert agreement(rated(matrix), "x", draws=5).alpha == pytest.approx(0.743, abs=5e-4)
    assert agreement(rated(matrix), "x", level="interval", draws=5).alpha == pytest.approx(0.849, abs=5e-4)


def test_alpha_is_undefined_when_all_votes_are_alike() -> None:
    assert alpha(np.array([[0, 3], [0, 2]])) is None
    assert agreement([], "x").alpha is None


def test_the_bootstrap_interval_of_alpha_holds_the_alpha_of_the_population() -> None:
    random, hits = np.random.default_rng(0), 0
    big = (random.random(200_000) < 0.6)[None, :] ^ (random.random((3, 200_000)) < 0.15)
    truth = alpha(np.stack([3 - big.sum(axis=0), big.sum(axis=0)], axis=1))
    assert truth is not None
    for _ in range(100):
        matrix = ((random.random(80) < 0.6)[None, :] ^ (random.random((3, 80)) < 0.15)).astype(float)
        found = agreement(rated(matrix), "x", draws=200)
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert hits >= 87


@pytest.mark.parametrize(
    ("assumed", "conversations", "raters"),
    [
        (Assumptions(difference=0.06), 150, 3),
        (Assumptions(difference=0.1, slip=0.2, icc=0.2), 60, 1),
        (Assumptions(sensible=0.9, specific=0.8, difference=0.05, icc=0.02, slip=0.05), 100, 5),
    ],
)
def test_the_planners_power_agrees_with_simulation_within_2_points(
    assumed: Assumptions, conversations: int, raters: int
) -> None:
    random, hits, runs = np.random.default_rng(11), 0, 2500
    labels = [[f"{s}{g}" for g in range(conversations) for _ in range(assumed.replies_per_conversation)] for s in "ab"]
    for _ in range(runs):
        weaker, stronger = simulate(assumed, conversations, raters, random)
        hits += compare(stronger.ravel().tolist(), labels[0], weaker.ravel().tolist(), labels[1]).p < 0.05
    assert hits / runs == pytest.approx(power(assumed, conversations, raters), abs=0.02)


def test_more_raters_need_fewer_replies_and_the_plan_reaches_its_power() -> None:
    found = plans(Assumptions(), wanted=0.8)
    assert [plan.raters for plan in found] == [1, 3, 5, 7]
    assert [plan.replies for plan in found] == sorted((plan.replies for plan in found), reverse=True)
    for plan in found:
        assert 0.8 <= plan.power < 0.81
        assert power(Assumptions(), plan.conversations - 1, plan.raters) < 0.8


def test_what_cannot_be_told_apart_is_said_so() -> None:
    assert conversations_needed(Assumptions(difference=1e-5), 1) is None
    assert smallest_difference(Assumptions(), 3, 1) is None
    with pytest.raises(ValueError, match="more than always"):
        Assumptions(sensible=0.99, difference=0.03).rates()


def test_the_smallest_visible_difference_is_the_one_the_planner_plans_for() -> None:
    needed = conversations_needed(Assumptions(difference=0.05), 3)
    assert needed is not None
    assert smallest_difference(Assumptions(), needed, 3) == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize(("conversations", "raters"), [(30, 1), (100, 5), (700, 5), (5000, 3)])
def test_every_size_of_study_has_a_smallest_visible_difference(conversations: int, raters: int) -> None:
    found = smallest_difference(Assumptions(), conversations, raters)
    assert found is not None
    assert power(replace(Assumptions(), difference=found), conversations, raters) == pytest.approx(0.8, abs=0.01)


def test_the_slip_behind_an_alpha_gives_that_alpha_again() -> None:
    random = np.random.default_rng(2)
    truth = random.random(50_000) < 0.7
    votes = truth[:, None] ^ (random.random((50_000, 3)) < 0.12)
    value = alpha(np.stack([3 - votes.sum(axis=1), votes.sum(axis=1)], axis=1))
    assert value is not None
    assert slip_from_alpha(value, float(votes.mean())) == pytest.approx(0.12, abs=0.005)


def test_looking_at_every_third_conversation_rarely_raises_a_false_alarm() -> None:
    random, naive, honest, runs = np.random.default_rng(6), 0, 0, 100
    for _ in range(runs):
        a, b = simulate(Assumptions(difference=0.0), 100, 1, random)
        alarms = [False, False]
        for g in range(10, 101, 3):
            seen_so_far = (a[:g].ravel().tolist(), names(a[:g], "a"), b[:g].ravel().tolist(), names(b[:g], "b"))
            alarms[0] |= compare(*seen_so_far).p < 0.05
            alarms[1] |= look(*seen_so_far, planned=200, margin=0.01).advice is Advice.DIFFERENT
        naive, honest = naive + alarms[0], honest + alarms[1]
    assert naive / runs > 0.12
    assert honest / runs <= 0.05


def test_the_rule_sees_a_difference_that_is_there_and_waits_before_ten_conversations() -> None:
    weaker, stronger = simulate(Assumptions(difference=0.2), 150, 3, np.random.default_rng(8))

    def advice(g: int) -> Advice:
        return look(
            stronger[:g].ravel().tolist(),
            names(stronger[:g], "a"),
            weaker[:g].ravel().tolist(),
            names(weaker[:g], "b"),
            planned=200,
            margin=0.03,
        ).advice

    assert advice(9) is Advice.TOO_EARLY
    assert advice(150) is Advice.DIFFERENT


def test_the_rule_says_when_two_systems_are_alike() -> None:
    a, b = simulate(Assumptions(difference=0.0, sensible=0.95, specific=0.95), 900, 1, np.random.default_rng(8))
    found = look(a.ravel().tolist(), names(a, "a"), b.ravel().tolist(), names(b, "b"), planned=1800, margin=0.05)
    assert found.advice is Advice.ALIKE


def choices(random: np.random.Generator, n: int, truth: dict[str, float]) -> list[Choice]:
    found = []
    for i in range(n):
        a, b = random.choice(list(truth), size=2, replace=False)
        p = 1 / (1 + np.exp(truth[b] - truth[a]))
        found.append(Choice(str(a), str(b), bool(random.random() < p), str(i)))
    return found


def test_bradley_terry_intervals_hold_the_strengths_the_choices_were_made_with() -> None:
    truth, hits = {"a": 0.6, "b": 0.0, "c": -0.6}, 0
    for seed in range(12):
        for found in strengths(choices(np.random.default_rng(seed), 300, truth), draws=200):
            hits += found.low <= truth[found.system] <= found.high
    assert hits >= 30  # of 36


def test_a_system_that_won_everything_has_a_finite_strength() -> None:
    found = strengths([Choice("a", "b", True, str(i)) for i in range(20)], draws=50)
    assert [one.system for one in found] == ["a", "b"]
    assert all(np.isfinite([one.low, one.high]).all() for one in found)


def test_raters_of_one_pair_count_once_in_the_binomial_test() -> None:
    votes = [Choice("a", "b", True, "1", "x"), Choice("a", "b", True, "1", "y"), Choice("b", "a", True, "1", "z")]
    (duel,) = duels([*votes, Choice("b", "a", False, "2"), Choice("a", "b", True, "3"), Choice("a", "b", False, "3")])
    assert (duel.first, duel.second, duel.wins, duel.n) == ("a", "b", 2, 2)
    assert duel.p == 0.5


def test_the_intraclass_correlation_that_made_the_data_is_found_again() -> None:
    scores, _ = simulate(Assumptions(difference=0.0, icc=0.2, slip=0.0), 3000, 1, np.random.default_rng(1))
    assert intraclass_correlation(scores.ravel().tolist(), names(scores)) == pytest.approx(0.2, abs=0.02)
