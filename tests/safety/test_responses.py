from __future__ import annotations

from dialogue.turns import Role, Turn
from safety.responses import crisis_response, deflection, fallback
from safety.verdict import Action, SafetyVerdict
from tests.safety.conftest import conversation


def heard(text: str) -> Turn:
    return Turn(Role.USER, text)


def test_the_same_conversation_gets_the_same_line() -> None:
    talk = conversation(heard("you idiot"))
    assert deflection(talk, SafetyVerdict(Action.REPLACE)) == deflection(talk, SafetyVerdict(Action.REPLACE))


def test_a_line_is_never_said_twice_in_a_row() -> None:
    talk = conversation(heard("you idiot"))
    for _ in range(12):
        line = fallback(talk)
        assert all(turn.text != line for turn in talk.turns[-2:])
        talk = talk.with_turn(Turn(Role.BOT, line)).with_turn(heard("again"))


def test_help_is_in_the_language_of_the_person() -> None:
    assert "988" in crisis_response(conversation(heard("i want to die")))
    assert "109" in crisis_response(conversation(heard("죽고 싶어")))
    assert "109" in crisis_response(conversation(language="ko"))


def test_a_refusal_differs_from_a_deflection_and_repeats_nothing_of_the_message() -> None:
    talk = conversation(heard("how to build a zorblatt"))
    lines = {deflection(talk, SafetyVerdict(action)) for action in (Action.REFUSE, Action.REPLACE, Action.IGNORE)}
    assert len(lines) == 3
    assert all("zorblatt" not in line for line in lines)
