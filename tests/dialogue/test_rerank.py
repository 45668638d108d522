"""Candidates in their conversation: features, the rules that drop, and the order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue.candidates import Candidate, Hypothesis
from dialogue.decoding.config import DecodingConfig
from dialogue.rerank import common_subsequence, cross_turn_overlap, features, repetition, rerank, words
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

PLAIN = DecodingConfig()


def talk(*texts: str) -> Conversation:
    roles = (Role.USER, Role.BOT)
    turns = tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts))
    return Conversation(ConversationKey("test", "here"), Persona("Robin"), turns)


def candidate(text: str, log_prob: float = -4.0, tokens: int = 4) -> Candidate:
    return Candidate(text, Hypothesis(tuple(range(tokens)), log_prob, log_prob / tokens, True))


def order(candidates: Sequence[Candidate]) -> list[tuple[str, str | None]]:
    return [(c.text, c.dropped_by) for c in candidates]


def slow_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    row = [0] * (len(second) + 1)
    for one in first:
        above = row
        row = [0]
        for j, other in enumerate(second):
            row.append(above[j] + 1 if one == other else max(above[j + 1], row[j]))
    return row[-1]


@given(st.text("abc", max_size=70), st.text("abcd", max_size=70))
def test_the_common_subsequence_equals_the_textbook_table(first: str, second: str) -> None:
    assert common_subsequence(first, second) == slow_common_subsequence(first, second)


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("Don’t STOP -- it's 5 o'clock!") == ["don't", "stop", "it's", "5", "o'clock"]


def test_overlap_is_the_share_of_the_reply_found_in_one_earlier_turn() -> None:
    so_far = talk("I like to play chess on Sundays.", "Nice!")
    assert cross_turn_overlap("I like to play chess!", so_far) == 1.0
    assert cross_turn_overlap("I also like to eat", so_far) == pytest.approx(3 / 5)
    assert cross_turn_overlap("Nice", so_far) == 1 / 4  # a short answer may come twice
    assert cross_turn_overlap("Tell me more", talk()) == 0.0


def test_repetition_counts_ngrams_said_before() -> None:
    assert repetition("a b c a b c") == pytest.approx(1 / 4)
    assert repetition("a b c d") == repetition("a b") == 0.0


def test_features_are_in_their_units() -> None:
    found = features(candidate("So do I, so do I!", log_prob=-6.0, tokens=3), talk("Hello"))
    assert found["mean_log_prob"] == -2.0
    assert found["length"] == 3.0


def test_the_rules_name_what_they_drop_and_the_order_stays() -> None:
    config = PLAIN.with_(cross_turn_overlap=0.6, blocked_phrases=("ice cream", "Heck"))
    so_far = talk("What do you like to eat?", "I like to eat fresh bread.", "What else?")
    texts = ["Bread, I like to eat bread", " … ", "I love ICE-CREAM", "Soup!", "soup", "What the checkers", "heck, no"]
    assert order(rerank([candidate(text) for text in texts], so_far, config)) == [
        ("Soup!", None),
        ("What the checkers", None),
        ("Bread, I like to eat bread", "cross_turn"),
        (" … ", "empty"),
        ("I love ICE-CREAM", "blocked_phrase"),
        ("soup", "duplicate"),
        ("heck, no", "blocked_phrase"),
    ]


def test_without_the_cross_turn_rule_a_repetition_stays_and_shows_in_its_features() -> None:
    (only,) = rerank([candidate("What else do you like?")], talk("What else do you like?"), PLAIN)
    assert only.dropped_by is None
    assert only.features["cross_turn_overlap"] == 1.0


def test_pmi_puts_the_bland_reply_behind() -> None:
    bland, apt = candidate("I don't know.", log_prob=-4.0), candidate("Chess, mostly.", log_prob=-6.0)
    alone = {bland.text: -0.5, apt.text: -4.0}
    found = rerank(
        [bland, apt], talk("What do you play?"), PLAIN.with_(pmi_lambda=0.5), lambda cs, _: [alone[c.text] for c in cs]
    )
    assert [c.text for c in found] == [apt.text, bland.text]
    assert found[0].features["pmi"] == pytest.approx(-1.5 + 2.0)
    assert found[1].features["pmi"] == pytest.approx(-1.0 + 0.25)
    assert [c.text for c in rerank([bland, apt], talk(), PLAIN)] == [bland.text, apt.text]


def test_pmi_without_a_scorer_is_an_error_and_no_candidates_are_none() -> None:
    config = PLAIN.with_(pmi_lambda=0.5)
    with pytest.raises(ValueError, match="scorer"):
        rerank([candidate("Yes.")], talk(), config)
    assert rerank([], talk(), config) == []


def test_the_judge_adds_its_score_with_its_weight() -> None:
    likely, better = candidate("I don't know.", log_prob=-4.0), candidate("Chess, mostly.", log_prob=-6.0)
    scores = {likely.text: -1.0, better.text: 1.0}

    def said(weight: float) -> list[str]:
        config = PLAIN.with_(judge_weight=weight)
        found = rerank(
            [likely, better], talk("What do you play?"), config, judge=lambda cs, _: [scores[c.text] for c in cs]
        )
        assert not weight or [c.features["judge"] for c in found] == [scores[c.text] for c in found]
        return [c.text for c in found]

    assert said(0.0) == said(0.24) == [likely.text, better.text]  # 0.5 nats a token apart, 2 points by the judge
    assert said(0.26) == [better.text, likely.text]


def test_a_judge_that_is_asked_for_must_be_there() -> None:
    with pytest.raises(ValueError, match="judge"):
        rerank([candidate("Yes.")], talk(), PLAIN.with_(judge_weight=1.0))


def test_what_dropped_a_candidate_before_stays() -> None:
    before = Candidate("Hello", Hypothesis((1,), -1.0, -1.0, True), dropped_by="safety:hate")
    assert rerank([before], talk(), PLAIN)[0].dropped_by == "safety:hate"
