from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from dialogue.models.formats import TurnsFormat
from dialogue.models.vocabulary import TokenizerVocabulary
from dialogue.training.corpus import Talk
from dialogue.training.examples import (
    END,
    IGNORED,
    START,
    Batch,
    Sampler,
    Windows,
    ahead,
    batches,
    collate,
    context_ids,
    make_example,
)
from dialogue.training.tokenizer import train_tokenizer
from dialogue.training.tokens import TokenTalks, tokenise
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

TOKENIZER = train_tokenizer(["hello there, how are you? I am fine thanks. 1234567890"] * 3, 300)
WIDE = Windows(context=(500,), persona=500, reply=500, turns=1)


def talks_of(*texts: str, persona: tuple[str, ...] = (), speakers: str = "AB") -> TokenTalks:
    turns = tuple((speakers[i % len(speakers)], text) for i, text in enumerate(texts))
    return tokenise([Talk("s", "t", persona, turns)], TOKENIZER)


def ids(text: str) -> list[int]:
    found: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return found


def test_what_the_encoder_is_trained_on_is_what_a_conversation_is_read_as(tmp_path: Path) -> None:
    TOKENIZER.save(str(tmp_path / "tokenizer.json"))
    reading = TurnsFormat(TokenizerVocabulary.from_file(tmp_path / "tokenizer.json"))
    facts, texts = ("I like tea.", "I am old."), ("Hello there", "hi!", "How are you?")
    turns = tuple(Turn((Role.USER, Role.BOT)[i % 2], text) for i, text in enumerate(texts))
    for persona in ((), facts):
        conversation = Conversation(ConversationKey("t", "t"), Persona("Bo", persona), turns)
        example = make_example(talks_of(*texts, "Fine.", persona=persona), 0, 3, 500, WIDE, persona=True)
        assert example.encoder == reading.encode(conversation, 500)
        assert example.decoder == [START, *ids("Fine.")]
        assert example.labels == [*ids("Fine."), END]


def test_only_the_second_speaker_has_the_persona() -> None:
    talks = talks_of("Hello", "hi", "how are you", persona=("I like tea.",))
    first, second = (make_example(talks, 0, turn, 500, WIDE, persona=True).encoder for turn in (2, 1))
    assert second[: len(ids("I like tea.")) + 1] == [*ids("I like tea."), 0]
    assert first == [START, *ids("Hello"), END, *ids("hi"), END]


def test_everybody_else_is_the_other_where_more_than_two_speak() -> None:
    talks = talks_of("one", "two", "three", "four", speakers="ABC")
    assert context_ids(talks, 0, 3, 500, []) == [START, *ids("one"), END, *ids("two"), END, *ids("three"), END]


def test_later_turns_count_less_and_begin_in_the_same_form() -> None:
    windows = Windows(context=(500,), reply=500, turns=3, later_weight=0.5)
    example = make_example(talks_of("a", "b", "c", "d"), 0, 1, 500, windows, persona=False)
    assert example.decoder == [START, *ids("b"), END, *ids("c"), END, START, *ids("d")]
    assert example.labels == [*ids("b"), END, *ids("c"), END, IGNORED, *ids("d"), END]
    assert example.weights == [1.0, 1.0, 0.5, 0.5, 0.0, 0.5, 0.5]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 12), min_size=1, max_size=8), st.integers(3, 40))
def test_a_context_keeps_the_newest_whole_turns_that_fit(lengths: list[int], cap: int) -> None:
    talks = talks_of(*("7" * length for length in lengths), "8")
    found = context_ids(talks, 0, len(lengths), cap, [])
    assert 0 < len(found) <= cap
    whole = context_ids(talks, 0, len(lengths), 10_000, [])
    assert whole[-len(found) :][-1] == END
    kept = found.count(END)
    newest = [length + 1 + (i % 2 == len(lengths) % 2) for i, length in enumerate(lengths)][::-1]
    fit = len(list(itertools.takewhile(lambda total: total <= cap, itertools.accumulate(newest))))
    assert kept == max(fit, 1)


def sampler(seed: int = 3) -> Sampler:
    sources = {"x": talks_of("a", "b", "c", "d"), "y": talks_of("hello there", "how are you")}
    return Sampler(sources, {"x": 1.0, "y": 1.0}, Windows(context=(20,), reply=20), seed)


def test_the_same_seed_gives_the_same_batches_from_any_start() -> None:
    all_of_them = list(itertools.islice(batches(sampler(), 256), 60))
    for start in (0, 7, 41, 59):
        assert next(batches(sampler(), 256, start)).labels.tolist() == all_of_them[start].labels.tolist()
    assert next(batches(sampler(4), 256)).labels.tolist() != all_of_them[0].labels.tolist()


def test_processes_share_the_batches_without_overlap_or_gap() -> None:
    alone = [b.labels.tolist() for b in itertools.islice(batches(sampler(), 256), 40)]
    pairs = zip(batches(sampler(), 256, share=(0, 2)), batches(sampler(), 256, share=(1, 2)), strict=False)
    together = [b.labels.tolist() for pair in itertools.islice(pairs, 10) for b in pair]
    assert together == alone[:20]


def test_batches_made_ahead_are_the_same_in_the_same_order() -> None:
    alone, made_ahead = batches(sampler(), 256), ahead(batches(sampler(), 256))
    for expected, found in itertools.islice(zip(alone, made_ahead, strict=False), 30):
        assert expected.labels.tolist() == found.labels.tolist()


def test_a_mistake_while_making_batches_ahead_is_raised_where_they_are_used() -> None:
    def broken() -> Iterator[Batch]:
        yield next(batches(sampler(), 256))
        raise ValueError("broken")

    made_ahead = ahead(broken())
    next(made_ahead)
    with pytest.raises(ValueError, match="broken"):
        next(made_ahead)


def test_batches_keep_to_the_budget_and_mostly_hold_words() -> None:
    some = list(itertools.islice(batches(sampler(), 256), 50))
    sizes = [b.input_ids.numel() + b.decoder_ids.numel() for b in some]
    assert max(sizes) <= 256
    assert sum(b.tokens for b in some) / sum(sizes) > 0.8


def test_padding_is_not_learnt_from() -> None:
    talks = talks_of("a", "hello there", "b")
    pair = [make_example(talks, 0, turn, 500, WIDE, persona=False) for turn in (1, 2)]
    batch = collate(pair)
    assert batch.targets == sum(len(e.labels) for e in pair)
    assert batch.tokens == sum(len(e.encoder) + len(e.decoder) for e in pair)
    assert batch.attention_mask.sum(1).tolist() == [len(e.encoder) for e in pair]


@pytest.mark.parametrize("text", ["<|im_end|> sneaky", "plain"])
def test_the_tokenizer_survives_a_round_trip(text: str) -> None:
    tokenizer: Tokenizer = TOKENIZER
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text
