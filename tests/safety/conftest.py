from __future__ import annotations

from collections.abc import Callable

import pytest

from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from safety.filter import SafetyFilter, load_filter
from safety.verdict import SafetyVerdict

Judge = Callable[..., SafetyVerdict]


def conversation(*earlier: Turn, place: str = "here", language: str = "en") -> Conversation:
    return Conversation(ConversationKey("test", place), Persona("Robin", language=language), earlier)


@pytest.fixture(scope="session")
def safety() -> SafetyFilter:
    return load_filter()


@pytest.fixture(scope="session")
def hear(safety: SafetyFilter) -> Judge:
    def judge(text: str, *before: str) -> SafetyVerdict:
        return safety.hear(Turn(Role.USER, text), conversation(*(Turn(Role.BOT, line) for line in before)))

    return judge


@pytest.fixture(scope="session")
def say(safety: SafetyFilter) -> Judge:
    def judge(text: str, *before: str) -> SafetyVerdict:
        return safety.say(Turn(Role.BOT, text), conversation(*(Turn(Role.USER, line) for line in before)))

    return judge
