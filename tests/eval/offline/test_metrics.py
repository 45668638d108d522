from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from eval.offline.metrics import clash, overlap, perplexity, ranking, shape, variety

WORDS = st.sampled_from(
    ["the", "cat", "sat,", "on", "a", "mat.", "Why?", "don't", "고양이", "is", "he-he", "3.5", "“so”"]
)
TEXT = st.lists(WORDS, min_size=1, max_size=12).map(" ".join)
CORPUS = st.lists(st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3)), min_size=1, max_size=6)


def as_sacrebleu(corpus: Sequence[tuple[str, list[str]]]) -> tuple[list[str], list[list[str | None]]]:
    most = max(len(refs) for _, refs in corpus)
    columns = [[refs[i] if i < len(refs) else None for _, refs in corpus] for i in range(most)]
    return [reply for reply, _ in corpus], columns


def summed(parts: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*parts, strict=True)]


@settings(max_examples=40, deadline=None)
@given(CORPUS)
def test_bleu_equals_sacrebleu_to_the_last_digit(corpus: list[tuple[str, list[str]]]) -> None:
    replies, references = as_sacrebleu(corpus)
    expected = BLEU().corpus_score(replies, references).score  # type: ignore[arg-type]
    assert overlap.bleu(summed([overlap.bleu_parts(*pair) for pair in corpus])) == expected


@settings(max_examples=40, deadline=None)
@given(CORPUS)
def test_chrf_equals_sacrebleu_to_the_last_digit(corpus: list[tuple[str, list[str]]]) -> None:
    replies, references = as_sacrebleu(corpus)
    expected = CHRF().corpus_score(replies, references).score  # type: ignore[arg-type]
    assert overlap.chrf(summed([overlap.chrf_parts(*pair) for pair in corpus])) == expected


def test_f1_of_the_papers_example_counts_words_without_articles() -> None:
    assert overlap.f1("The cat sat!", ["a cat sat down"]) == pytest.approx(2 * 2 / (2 + 3))
    assert overlap.f1("the", ["a"]) == 1.0
    assert overlap.f1("dog", ["cat"]) == 0.0


@settings(max_examples=40, deadline=None)
@given(TEXT, st.lists(TEXT, min_size=1, max_size=4))
def test_f1_grows_with_more_references_and_knows_itself(reply: str, references: list[str]) -> None:
    assert overlap.f1(reply, references) <= overlap.f1(reply, [*references, reply]) == 1.0


def test_distinct_counts_by_hand() -> None:
    assert variety.distinct(["I am I", "I am you"], 1) == 3 / 6
    assert variety.distinct(["I am I", "I am you"], 2) == 3 / 4
    assert math.isnan(variety.distinct(["one"], 2))
    assert variety.unique(["Yes.", "yes", "No"]) == pytest.approx(2 / 3)


def test_copying_and_repetition_by_hand() -> None:
    assert variety.copied("I like red cars a lot", ["do you like red cars?"]) == 1 / 4
    assert variety.copied("Red cars", ["I like red cars"]) == 1.0
    assert variety.copied("", ["x"]) == 0.0
    assert variety.self_repetition("no no no no no") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("How are you?", True),
        ("I see.", False),
        ("what is your name", True),
        ("잘 지냈어요？", True),
        ("오늘 뭐 먹을까 우리 같이 갈까요", True),
        ("Fine. Thanks", False),
    ],
)
def test_questions_are_seen_with_and_without_their_mark(text: str, asked: bool) -> None:
    assert shape.asks(text) == asked


def test_perplexities_of_a_fair_coin() -> None:
    nats = 10 * math.log(2)
    assert perplexity.per_token(nats, 10) == pytest.approx(2.0)
    assert perplexity.per_word(nats, 5) == pytest.approx(4.0)
    assert perplexity.bits_per_byte(nats, 10) == pytest.approx(1.0)
    assert math.isnan(perplexity.per_token(0.0, 0))


def test_ranking_by_hand() -> None:
    assert ranking.hits([3.0, 0.5], [1.0, 2.0]) == 0.5
    assert ranking.mrr([3.0, 0.5], [1.0, 2.0]) == pytest.approx((1 + 1 / 3) / 2)
    assert ranking.pairwise([1.5, 1.0], [1.0]) == 0.75


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.lists(st.floats(-5, 5), min_size=1, max_size=6))
def test_pairs_in_order_equal_the_area_under_the_roc_curve(good: list[float], bad: list[float]) -> None:
    from sklearn.metrics import roc_auc_score

    expected = roc_auc_score([1] * len(good) + [0] * len(bad), [*good, *bad])
    assert ranking.pairwise(good, bad) == pytest.approx(expected)


CLASHES = [
    ("I don't like dogs.", "I like dogs."),
    ("I hate dogs", "i love dogs."),
    ("My name is Anna.", "My name is Robin."),
    ("I'm a human, of course.", "I am a chatbot."),
    ("I have two cats at home. I have three brothers.", "I have one brother."),
    ("I live in Paris.", "i live in Ohio."),
    ("I am married.", "I'm single."),
    ("I never eat meat.", "I eat meat every day."),
    ("I love steak.", "I am a vegetarian."),
    ("My favorite color is red.", "My favourite color is blue."),
    ("I am a nurse.", "I work as a teacher."),
    ("I have no sisters", "I have two sisters."),
    ("I can't swim.", "I can swim."),
    ("I am 25 years old.", "I am 40 years old."),
    ("I'm from Spain.", "I am from Canada."),
    ("I don't have a dog", "I have a dog."),
    ("I'm a person like you", "I am a chatbot."),
]
HARMONY = [
    ("I like dogs too!", "I like dogs."),
    ("I don't like cats.", "I like dogs."),
    ("My name is Robin.", "My name is Robin."),
    ("Do you have a dog?", "I have a dog."),
    ("I have two cats.", "I have one brother."),
    ("I am a chatbot.", "I am a chatbot."),
    ("I am happy for you.", "I am a chatbot."),
    ("I'm not sure.", "I like music, films and long walks."),
    ("That's not good. I love walks.", "I like music, films and long walks."),
    ("I don't know what you mean.", "I am a chatbot."),
    ("I am from a small town.", "I am a chatbot."),
    ("You are a person.", "I am a chatbot."),
    ("I live in Ohio.", "I live in Ohio."),
    ("I am not a human.", "I am a chatbot."),
    ("I have never been there.", "I love to hear about people's day."),
    ("I am a vegetarian.", "I am a vegetarian."),
    ("I have three brothers.", "I have two sisters."),
    ("I love my job as a nurse.", "I work as a nurse."),
    ("My favorite food is pizza.", "My favorite color is blue."),
    ("I can't wait to hear more!", "I love to hear about people's day."),
    ("I don't think so.", "I think about music a lot."),
    ("I am a registered nurse", "I am a nurse"),
    ("My name is Eduardo and I'm thirteen.", "I am 13 years old."),
    ("I do not have a sister.", "I have a brother"),
]


def test_contradictions_are_found_and_harmony_is_left_alone() -> None:
    """The rules' figures on pairs written for this test; docs/evaluation.md quotes them."""
    found = sum(clash.contradicts(reply, [fact]) for reply, fact in CLASHES)
    false_alarms = [pair for pair in HARMONY if clash.contradicts(pair[0], [pair[1]])]
    assert found == len(CLASHES), [pair for pair in CLASHES if not clash.contradicts(pair[0], [pair[1]])]
    assert not false_alarms
