from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.tidy import tidy
from dialogue.errors import UserError

anything = st.text(st.characters(blacklist_categories=()), min_size=1, max_size=200)


@given(anything)
def test_any_text_becomes_storable_or_is_refused_with_a_sentence(text: str) -> None:
    try:
        clean = tidy(text, 1000)
    except UserError as error:
        assert "nothing to read" in str(error)
        return
    clean.encode("utf-8")
    assert clean.strip() == clean != ""
    assert tidy(clean, 1000) == clean


def test_ordinary_text_is_left_alone() -> None:
    for text in ("Hi there!", "안녕하세요 😊", "👩‍👩‍👧 family", "two\nlines", "café naïve"):
        assert tidy(text, 100) == text


def test_control_characters_surrogates_and_direction_marks_go() -> None:
    assert tidy("a\x00b\x1b[31mc\u202ed\u2066e\ud800f", 100) == "ab[31mcde\ufffdf"


@pytest.mark.parametrize("text", ["", "   ", "\x00\x01", "\u200f"])
def test_an_empty_message_gets_a_sentence(text: str) -> None:
    with pytest.raises(UserError, match="nothing to read"):
        tidy(text, 100)


def test_a_megabyte_gets_a_sentence_with_the_limit() -> None:
    with pytest.raises(UserError, match=r"1,048,576 characters.*under 4,000"):
        tidy("x" * 2**20, 4000)
