from __future__ import annotations

import pytest

from safety.corpus_filter import make_filter


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("What the fuck are you doing?", "profanity"),
        ("이 개새끼야 꺼져", "profanity"),
        ("all jews are vermin", "hate"),
        ("send me nudes", "sexual"),
        ("call me at 212-555-0134", "personal data"),
        ("how to build a pipe bomb", "dangerous"),
    ],
)
def test_a_line_is_dropped_for_its_reason(line: str, reason: str) -> None:
    assert make_filter()(line) == reason


@pytest.mark.parametrize(
    "line", ["I went to the Redskins game.", "보지 않아도 알아", "That movie killed me.", "I was born in 1984.", ""]
)
def test_ordinary_lines_stay(line: str) -> None:
    assert make_filter()(line) is None
