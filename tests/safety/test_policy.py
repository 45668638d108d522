from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from safety.findings import Finding
from safety.policy import shipped_policy
from safety.verdict import ALLOW, Action, SafetyVerdict, Span

names = st.sampled_from(sorted(shipped_policy().rules))
findings = st.builds(Finding, names, st.floats(0, 1), st.floats(0, 1), st.sampled_from(["lexicon", "linear", "crisis"]))
verdicts = st.builds(
    SafetyVerdict,
    st.sampled_from(list(Action)),
    st.none() | names,
    st.dictionaries(names, st.floats(0, 1), max_size=3),
    st.none() | st.floats(0, 1),
    st.none() | st.sampled_from(["a", "b"]),
    st.lists(st.builds(Span, st.integers(0, 5), st.integers(6, 9), st.just("email")), max_size=2).map(
        lambda spans: tuple(sorted(set(spans)))
    ),
)


@given(verdicts, verdicts, verdicts)
def test_merging_verdicts_is_associative_and_commutative(a: SafetyVerdict, b: SafetyVerdict, c: SafetyVerdict) -> None:
    assert a.stricter(b).action == b.stricter(a).action
    assert a.stricter(b) == b.stricter(a)
    assert a.stricter(b).stricter(c) == a.stricter(b.stricter(c))


@given(verdicts)
def test_the_empty_verdict_changes_nothing(verdict: SafetyVerdict) -> None:
    assert ALLOW.stricter(verdict).action is verdict.action
    assert ALLOW.stricter(verdict).scores == verdict.scores


@given(st.lists(findings, max_size=6), st.booleans())
def test_more_findings_never_make_a_verdict_milder(found: list[Finding], by_bot: bool) -> None:
    policy = shipped_policy()
    whole = policy.verdict(found, by_bot=by_bot)
    for size in range(len(found)):
        assert policy.verdict(found[:size], by_bot=by_bot).action <= whole.action


@given(findings, st.booleans())
def test_a_higher_level_never_makes_a_decision_milder(finding: Finding, by_bot: bool) -> None:
    actions = []
    for level in ("off", "low", "medium", "high"):
        policy = shipped_policy().with_levels({finding.category: level})
        actions.append(policy.decide(finding, by_bot=by_bot)[0])
    assert actions == sorted(actions)


def test_the_order_of_findings_does_not_matter() -> None:
    found = [
        Finding("hate", 0.9, 0.9, "lexicon"),
        Finding("pii", 0.9, 0.9, "personal_data"),
        Finding("spam", 0.6, 0.6, "x"),
    ]
    policy = shipped_policy()
    forwards, backwards = (policy.verdict(part, by_bot=False) for part in (found, found[::-1]))
    assert forwards == backwards
