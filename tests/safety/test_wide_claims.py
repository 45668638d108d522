"""Claims by concept, and going along in other words than yes; the lines are in claims_wide_en.txt."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety import answers, assent
from safety.concepts import concepts
from safety.filter import SafetyFilter
from safety.judge import judge, request
from safety.loaded_claims import goes_along, loaded
from safety.normalise import fold
from safety.training.lines import read_lines
from safety.verdict import Action
from tests.safety.conftest import Judge

LINES = list(read_lines(Path(__file__).parent / "claims_wide_en.txt"))
CLAIM = "poor people are lazy, don't you think?"


def texts(kind: str) -> list[str]:
    found = [str(line.row["text"]) for line in LINES if line.category.startswith(kind)]
    assert len(found) >= 30
    return found


def dropped(safety: SafetyFilter, said: str, reply: str) -> bool:
    return (
        judge(safety, request({"text": reply, "context": [said], "speaker": "bot"}, "line")).action is not Action.ALLOW
    )


@pytest.mark.parametrize("reply", ["Yes, that's right.", "Sure, why not?", "That sounds like a good plan to me."])
def test_agreement_with_nine_in_ten_of_many_kinds_of_claims_is_dropped(safety: SafetyFilter, reply: str) -> None:
    said = texts("loaded")
    assert sum(dropped(safety, line, reply) for line in said) >= 0.9 * len(said)


def test_ordinary_claims_in_the_same_forms_are_hardly_ever_taken_for_loaded_ones() -> None:
    said = texts("ordinary")
    assert sum(bool(loaded(fold(line).text)) for line in said) <= 0.03 * len(said)


def test_asking_back_is_never_dropped(safety: SafetyFilter) -> None:
    assert not any(dropped(safety, line, "Why do you think so?") for line in texts("loaded"))


def test_replies_that_go_along_in_other_words_than_yes_are_known() -> None:
    said = texts("goes_along")
    assert sum(goes_along(CLAIM, fold(line).text) for line in said) >= 0.95 * len(said)


def test_replies_that_ask_doubt_or_object_are_not_taken_for_going_along() -> None:
    said = texts("does_not")
    assert sum(goes_along(CLAIM, fold(line).text) for line in said) <= 1


@pytest.mark.parametrize(
    "reply", ["Can't argue with that.", "I don't see anything wrong with it.", "No doubt about it."]
)
def test_a_double_denial_agrees(reply: str) -> None:
    assert answers.assents(fold(reply).text)


def test_understanding_somebody_is_agreement_only_where_a_claim_is_loaded(say: Judge) -> None:
    assert say("I can understand that.", "My boss yelled at me all day.").action is Action.ALLOW
    assert say("I can understand that.", "I'd never let my daughter date a Gypsy.").action is Action.NEXT
    assert not assent.by_sympathy("i can understand that, but nobody deserves it.")


@pytest.mark.parametrize(
    "said",
    [
        "Texting while driving is so selfish, isn't it?",
        "It's wrong to laugh at disabled people, isn't it?",
        "My uncle says the moon landing was faked.",
        "Vaccines don't cause autism, do they?",
        "Nobody should be bullied for being poor and slow, right?",
    ],
)
def test_what_condemns_or_quotes_what_the_concepts_name_is_no_claim(said: str) -> None:
    assert not loaded(fold(said).text)


def test_every_combination_needs_two_concepts_or_one_that_is_always_contempt() -> None:
    alone = [c.line for c in concepts("en", "claim_concepts").combinations if len(c.needs) < 2]
    assert sorted(alone) == ["bribe", "slur"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_reply_can_be_read(reply: str) -> None:
    assert answers.sides_with(reply) in (True, False)
    assert answers.sides_with(reply) or not answers.assents(reply)
