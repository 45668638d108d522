from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safety.detectors.personal_data import mask_text
from safety.filter import SafetyFilter
from safety.judge import judge, request
from safety.personal import find
from safety.personal.numbers import iban_valid, luhn


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("call me at 212-555-0134 tonight", "call me at [phone] tonight"),
        ("(503) 555-0152 is mine", "[phone] is mine"),
        ("+44 7700 900123", "[phone]"),
        ("my cell is five oh three five five five zero one five two", "my cell is [phone]"),
        ("내 번호는 010-1234-5678이야", "내 번호는 [phone]이야"),
        ("공일공 3799 0751", "[phone]"),
        ("jane.doe@example.org", "[email]"),
        ("jane (at) example (dot) com please", "[email] please"),
        ("card 4111 1111 1111 1111", "card [card]"),
        ("주민번호 370802-1098786 맞죠", "주민번호 [rrn] 맞죠"),
        ("ssn 660-18-1976", "ssn [ssn]"),
        ("국민은행 110-674-754678 로", "[bank] 로"),
        ("IBAN DE89 3704 0044 0532 0130 00", "IBAN [bank]"),
        ("ip 203.0.113.9 lol", "ip [ip] lol"),
        ("2001:db8::8a2e:370:7334", "[ip]"),
        ("차 번호 12가 3456 빼주세요", "차 번호 [plate] 빼주세요"),
        ("여권번호 M95289078", "여권번호 [passport]"),
        ("send it to 1820 Old Mill Drive pls", "send it to [addr] pls"),
        ("주소는 부산광역시 해운대구 테헤란로 262 입니다", "주소는 [addr] 입니다"),
        ("my password is hunter2x", "my password is [token]"),
        ("key ghp_" + "a1B2" * 9, "key [token]"),
        ("hi I'm Rosa Delgado and my mail is rose99@example.org", "hi I'm [name] and my mail is [email]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, masked: str) -> None:
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "order #983205768 shipped",
        "it cost $6694.99",
        "python 3.11.4",
        "score was 843-738",
        "released on 2024-03-11",
        "1588-2543 고객센터",
        "주문번호 252703211986",
        "211동 앞에서 만나",
        "가격은 77,787원",
        "error code 0x97868580",
        "I live in Boston",
        "two miles down the road",
        "오후 9시 30분에 보자",
        "meet me at 10:30:45",
        "std::vector is nice",
        "4111 1111 1111 1112 is no card",
        "130월 991340-1098786 is no date",
        "version 10.0.0.1",
        "my name is Rosa Delgado",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert mask_text(text) == text


@given(st.text(max_size=120))
def test_masking_twice_changes_nothing_more(text: str) -> None:
    once = mask_text(text)
    assert mask_text(once) == once


@given(st.text(max_size=100))
def test_spans_are_in_order_and_apart(text: str) -> None:
    spans = find(text)
    assert all(a.end <= b.start for a, b in pairwise(spans))


@given(st.integers(min_value=10**14, max_value=10**15 - 1))
def test_exactly_one_last_digit_satisfies_luhn(number: int) -> None:
    assert sum(luhn(f"{number}{digit}") for digit in range(10)) == 1


def test_an_iban_with_two_digits_swapped_is_none() -> None:
    assert iban_valid("de89370400440532013000")
    assert not iban_valid("de89370400440532010300")


def test_the_bot_never_says_personal_data_even_when_a_policy_allows_it(safety: SafetyFilter) -> None:
    from dialogue.turns import Role, Turn
    from safety.filter import load_filter
    from tests.safety.conftest import conversation

    lax = load_filter(levels={"pii": "off"})
    verdict = lax.say(Turn(Role.BOT, "her number is 212-555-0134"), conversation())
    assert not verdict.allows


MARKED = re.compile(r"\{(\w+):([^{}]*)\}")
HERE = Path(__file__).parent


def unmarked(line: str) -> tuple[str, list[tuple[int, int, str]]]:
    """The text of a line of personal_fresh_*.txt and the spans its braces mark."""
    text, last = "", 0
    spans: list[tuple[int, int, str]] = []
    for mark in MARKED.finditer(line):
        text += line[last : mark.start()]
        spans.append((len(text), len(text) + len(mark[2]), mark[1]))
        text, last = text + mark[2], mark.end()
    return text + line[last:], spans


@pytest.mark.parametrize(("lang", "share"), [("en", 0.97), ("ko", 0.95)])
def test_personal_data_in_the_shapes_people_write_is_found_and_little_else(lang: str, share: float) -> None:
    lines = (HERE / f"personal_fresh_{lang}.txt").read_text(encoding="utf-8").splitlines()
    rows = [unmarked(line) for line in lines if line and not line.startswith("# ")]
    there = [(text, span) for text, spans in rows for span in spans]
    missed = [
        text[a:b]
        for text, (a, b, kind) in there
        if not any(s.kind == kind and 2 * (min(b, s.end) - max(a, s.start)) >= b - a for s in find(text))
    ]
    clean = [text for text, spans in rows if not spans]
    assert len(there) >= 50 and len(clean) >= 25
    assert len(missed) <= (1 - share) * len(there), missed
    assert [text for text in clean if find(text)] == []


def test_personal_data_is_found_anywhere_in_a_huge_text(safety: SafetyFilter) -> None:
    text = "so we talked and talked. " * 4000 + "write to jane@example.org please. " + "and on it went. " * 4000
    verdict = judge(safety, request({"text": text}, "a row"))
    at = text.index("jane@")
    assert [(s.start, s.end) for s in verdict.spans if s.kind == "email"] == [(at, at + len("jane@example.org"))]


def test_words_are_found_at_both_ends_of_a_huge_text_and_at_their_place(safety: SafetyFilter) -> None:
    calm = "so we talked and talked. " * 8000
    for text in ("you stupid bitch " + calm, calm + " you stupid bitch"):
        verdict = judge(safety, request({"text": text}, "a row"))
        assert "you stupid bitch" in {text[s.start : s.end] for s in verdict.spans} | {
            text[s.start - 11 : s.end] for s in verdict.spans
        }
