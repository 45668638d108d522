from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.language import SORRY, detect_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("오늘 뭐 했어?", "ko"),
        ("今日は何をしましたか", "ja"),
        ("你今天做了什么？", "zh"),
        ("Как у тебя дела?", "ru"),
        ("Hola, ¿cómo estás? ¿Qué tal el día?", "es"),
        ("Bonjour, je suis très content", "fr"),
        ("Ich bin heute sehr müde und du?", "de"),
        ("Ciao, come stai oggi?", "it"),
        ("What did you do today?", "en"),
    ],
)
def test_plain_cases_are_told(text: str, language: str) -> None:
    assert detect_language(text) == language


@pytest.mark.parametrize(
    "text",
    [
        "ok",
        "lol",
        "haha",
        "mmm...",
        "12345",
        "😀😀",
        "Pizza!",
        "Berlin",
        "I love kimchi 김치",
        "C'est la vie",
        "Die Hard",
    ],
)
def test_a_short_or_mixed_message_is_never_called_foreign(text: str) -> None:
    assert detect_language(text) in {None, "en"}


@given(st.text(max_size=300))
def test_any_text_has_an_answer(text: str) -> None:
    assert detect_language(text) in {None, *SORRY}


def test_every_language_that_can_be_told_has_its_honest_line() -> None:
    for code, line in SORRY.items():
        assert code in {"en", "es", "fr", "it", "pt", "nl", "de"} or detect_language(line) == code
