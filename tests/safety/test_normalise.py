from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safety import hangul
from safety.normalise import fold, views
from safety.personal import find

any_text = st.text(st.characters(), max_size=200)  # surrogates included


@given(any_text)
def test_every_view_of_any_text_maps_back_into_the_original(text: str) -> None:
    for view in views(fold(text)):
        assert len(view.text) == len(view.starts) == len(view.ends)
        for at in range(len(view.text)):
            start, end = view.span(at, at + 1)
            assert 0 <= start < end <= len(text)
        assert list(view.starts) == sorted(view.starts)


@given(any_text)
def test_folding_twice_changes_no_more_than_folding_once(text: str) -> None:
    once = fold(text).text
    twice = fold(once).text
    assert fold(twice).text == twice


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("ｆｕｌｌ ｗｉｄｔｈ", "full width"),
        ("с\u0430t", "cat"),  # Cyrillic es and a
        ("hi\u200bdd\u00aden", "hidden"),
        ("z\u0335\u0321a\u0322lgo", "zalgo"),
        ("🅱🄰🅳", "bad"),
        ("𝖈𝖆𝖙", "cat"),
        ("\u1112\u1161\u11ab\u1100\u1173\u11af", "한글"),
        ("\uffbe\uffc2", "ㅎㅏ"),
    ],
)
def test_look_alike_and_invisible_signs_are_read_as_what_they_pass_for(written: str, meant: str) -> None:
    assert fold(written).text == meant


@pytest.mark.parametrize(
    ("written", "reading"),
    [
        ("s p a d e", "spade"),
        ("baaaaad", "bad"),
        ("fu ck", "fuck"),
        ("sh1t", "shit"),
        ("f**k", "fuck"),
        ("tlqkf", "시발"),
        ("wnrrh tlvek", "죽고 싶다"),
        ("시1발", "시발"),
        ("시 발", "시발"),
        ("씨이이발", "씨발"),
        ("ㅅㅣㅂㅏㄹ", "시발"),
        ("ㅆl발", "씨발"),
    ],
)
def test_disguises_are_undone_in_some_reading(written: str, reading: str) -> None:
    found = {view.text: view for view in views(fold(written))}
    assert reading in found
    view = found[reading]
    assert view.span(0, len(reading)) == (0, len(written))


@pytest.mark.parametrize(
    "text", ["don't do that at 3pm", "the 2nd well-known co-op", "안녕하세요 반가워요", "Hello there!"]
)
def test_ordinary_writing_has_one_reading_only(text: str) -> None:
    assert len(views(fold(text))) == 1


@given(st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=20))
def test_letters_taken_apart_and_composed_again_give_the_same_syllables(syllables: str) -> None:
    composed = "".join(part for part, _, _ in hangul.compose(hangul.decompose(syllables)))
    assert composed == unicodedata.normalize("NFC", syllables)


@given(st.text(st.sampled_from("가나다라시발새끼죽고싶"), min_size=1, max_size=12))
def test_korean_typed_on_an_english_keyboard_reads_back(text: str) -> None:
    keys = hangul.to_keys(text)
    assert keys.isascii()
    assert "".join(part for part, _, _ in hangul.compose(hangul.from_keys(keys))) == text.replace("ㄲ", "ㄱ").translate(
        str.maketrans("끼", "기")
    )


ADVERSARIAL = [
    "a ",
    "f.",
    "시 ",
    "ㅅ",
    "0",
    "1-",
    "(",
    "@a.",
    "sex ",
    "how to ",
    "one ",
    "공",
    "a1",
    "🅰",
    "u\u0301",
    "서울시 ",
    "!",
]


@pytest.mark.parametrize("unit", ADVERSARIAL)
def test_time_grows_in_proportion_to_the_text_for_adversarial_repeats(unit: str) -> None:
    """Doubling the text may not square the time: the longer run gets four times the budget of the shorter, not
    sixteen."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        best = float("inf")
        for _ in range(2):
            start = time.process_time()
            views(fold(text))
            find(text)
            best = min(best, time.process_time() - start)
        return best

    seconds(2000)
    small, large = seconds(10_000), seconds(40_000)
    assert large < 12 * small + 0.05


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40))
def test_personal_data_is_found_inside_any_other_text(noise: str) -> None:
    text = f"{noise} \n my mail is jane.doe@example.org \n {noise}"
    kinds = {(text[span.start : span.end], span.kind) for span in find(text)}
    assert ("jane.doe@example.org", "email") in kinds


def test_a_megabyte_is_folded_and_searched() -> None:
    text = ("ｈéllo wörld 안녕 a@b.example 010-1234-5678 \u200b" * 30_000)[:1_000_000]
    base = fold(text)
    assert base.span(len(base.text) - 1, len(base.text))[1] <= len(text)
    assert len(find(text)) > 10_000
