from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.ssa.protocol import Answer, Kind, SystemFacts, answer_of, asked, departures, implied, still_open, title
from eval.ssa.questions import FORM, PAIR_QUESTIONS, QUESTIONS
from eval.ssa.votes import RatedReply, Vote, majority, score, settled

KEPT = SystemFacts(
    "bot", Kind.INTERACTIVE, [5] * 700, 100, turns=[14] * 100, openings=["Hi!"] * 100, decodings=frozenset({"beam"})
)
STATIC = SystemFacts("bot", Kind.STATIC, [5] * 1477, 1477, context_turns=[1, 2, 3] * 492 + [1])


def test_a_study_that_keeps_the_protocol_is_called_ssa() -> None:
    assert departures(KEPT) == departures(STATIC) == ()
    assert title([KEPT, STATIC]) == "SSA"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (replace(KEPT, raters_per_reply=[5] * 699 + [4]), "1 of 700 replies have fewer than 5 raters (4 instead)"),
        (replace(KEPT, raters_per_reply=[5] * 699), "699 labelled replies instead of 700"),
        (replace(KEPT, conversations=99), "99 conversations instead of 100"),
        (replace(KEPT, turns=[14] * 99 + [29]), "1 of 100 conversations do not have 14 to 28 turns"),
        (replace(KEPT, openings=["Hi!"] * 99 + ["Yo"]), "1 of 100 conversations do not open"),
        (replace(KEPT, blinded=False), "could know which system"),
        (replace(KEPT, decodings=frozenset({"a", "b"})), "Decoding changed midway: 2"),
        (replace(KEPT, safety_off=3), "safety filter was off for 3"),
        (replace(KEPT, forms=frozenset({FORM, "old"})), "other wording"),
        (replace(KEPT, rater_kinds=frozenset({"person", "language model"})), "Not all raters were people"),
        (replace(KEPT, skipped=2), "2 times a rater skipped"),
        (replace(KEPT, planned_replies=800), "100 planned replies have no label"),
        (replace(KEPT, imported_labels=5), "5 votes were imported"),
        (replace(KEPT, specific_without_sense=4), "4 votes for specific"),
        (replace(KEPT, peeked=True), "interim results"),
        (replace(STATIC, raters_per_reply=[5] * 1476), "1476 replies instead of 1,477"),
        (replace(STATIC, context_turns=[4] * 1477), "1477 of 1477 contexts do not have 1 to 3 turns"),
    ],
)
def test_every_departure_is_named_and_takes_the_name_away(changed: SystemFacts, words: str) -> None:
    found = departures(changed)
    assert len(found) == 1
    assert words in found[0]
    assert title([KEPT, changed]) == "SSA-like"


def test_the_three_answers_are_the_two_labels() -> None:
    assert [a.labels() for a in Answer] == [
        {"sensible": 0, "specific": 0},
        {"sensible": 1, "specific": 0},
        {"sensible": 1, "specific": 1},
    ]
    assert answer_of(0, 1) is Answer.NOT_SENSIBLE


def test_extra_questions_are_asked_in_order_and_not_where_they_have_no_sense() -> None:
    extras = ("safe", "interesting")
    assert asked(extras) == ("sensible", "specific", "interesting", "safe")
    assert still_open(extras, {}) == ("sensible", "specific", "interesting", "safe")
    assert still_open(extras, {"sensible": 0}) == ("safe",)
    assert implied({"sensible": 0}) == {"specific": 0, "interesting": 0}
    assert still_open(extras, {"sensible": 1, "specific": 0, "interesting": 1, "safe": 1}) == ()


def test_every_question_is_there_in_english_and_korean() -> None:
    for question in (*QUESTIONS.values(), *PAIR_QUESTIONS.values()):
        assert set(question.text) == set(question.help) == {"en", "ko"}


def reply(*answers: Answer) -> RatedReply:
    return RatedReply("bot", "c", "r", tuple(Vote(str(i), a.labels()) for i, a in enumerate(answers)))


def test_a_tie_is_in_doubt_and_counts_as_no() -> None:
    assert majority([1, 0]) == 0
    assert score(reply(Answer.SPECIFIC, Answer.NOT_SENSIBLE)) == 0.0
    assert score(reply(Answer.SPECIFIC, Answer.SENSIBLE, Answer.NOT_SENSIBLE)) == 0.5


def test_a_vote_for_specific_without_sensible_does_not_count() -> None:
    odd = RatedReply("bot", "c", "r", (Vote("x", {"sensible": 0, "specific": 1}),))
    assert settled(odd, "specific") == 0


@given(st.lists(st.sampled_from(list(Answer)), min_size=1, max_size=9))
def test_a_majority_is_never_specific_without_being_sensible(answers: list[Answer]) -> None:
    settled_specific, settled_sensible = settled(reply(*answers), "specific"), settled(reply(*answers), "sensible")
    assert settled_specific is not None
    assert settled_sensible is not None
    assert settled_specific <= settled_sensible
    assert score(reply(*answers)) == (settled_specific + settled_sensible) / 2
