from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.errors import UserError
from dialogue.models.chat_model import ContextFormat
from dialogue.models.formats import (
    BlenderbotFormat,
    ChatMLFormat,
    DialoGPTFormat,
    SeparatorFormat,
    TurnsFormat,
    persona_sentences,
    talk,
)
from dialogue.models.vocabulary import SpecialTokens, TokenizerVocabulary
from dialogue.turns import Conversation, ConversationKey, Example, Persona, Role, Turn
from tests.dialogue.models.tiny_checkpoints import byte_tokenizer, piece_tokenizer

VOCABULARY = TokenizerVocabulary(byte_tokenizer(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]))
KEY = ConversationKey("test", "1")
FORMATS: dict[str, ContextFormat] = {
    "turns": TurnsFormat(VOCABULARY),
    "chatml": ChatMLFormat(VOCABULARY, 1, 2),
    "separators": SeparatorFormat(VOCABULARY, (2,), begin=(0,), end=(2,), user_label="User: ", cue=(7, 8)),
    "blenderbot": BlenderbotFormat(VOCABULARY, (9,), (10,), end=(2,)),
    "dialogpt": DialoGPTFormat(VOCABULARY, 0),
}
texts = st.text(max_size=60)
turns = st.lists(st.builds(Turn, st.sampled_from(Role), texts, st.none() | st.sampled_from(["Ann", "Bo"])), max_size=8)
personas = st.builds(
    Persona,
    st.just("Robin"),
    st.lists(texts, max_size=2).map(tuple),
    texts,
    st.lists(st.builds(Example, texts, texts), max_size=2).map(tuple),
)


def ids(text: str) -> list[int]:
    return VOCABULARY.encode(text)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=60, deadline=None)
@given(persona=personas, said=turns, budget=st.integers(16, 200))
def test_no_conversation_exceeds_the_budget(name: str, persona: Persona, said: list[Turn], budget: int) -> None:
    assert len(FORMATS[name].encode(Conversation(KEY, persona, tuple(said)), budget)) <= budget


@pytest.mark.parametrize("name", FORMATS)
def test_the_persona_stands_first_whatever_is_said_afterwards(name: str) -> None:
    persona = Persona("Robin", facts=("I live by the sea.",), style="I am brief.")
    said = tuple(Turn(Role.USER, f"message number {i}") for i in range(200))
    text = VOCABULARY.decode(FORMATS[name].encode(Conversation(KEY, persona, said), 450))
    assert 0 <= text.index("I live by the sea.") < text.index("I am brief.") < text.index("message number 199")
    assert "message number 1 " not in text


def test_our_own_format_is_the_one_the_weights_were_trained_on() -> None:
    persona = Persona("Robin", facts=("I cook.", "I walk."), style="Brief.", examples=(Example("Hi.", "Hello."),))
    said = (Turn(Role.USER, "What now?"), Turn(Role.BOT, " Soup. "), Turn(Role.USER, "Why?"))
    assert FORMATS["turns"].encode(Conversation(KEY, persona, said), 200) == [
        *ids("I cook. I walk. Brief."), 0,
        *ids("Hi."), 2,
        1, *ids("Hello."), 2,
        *ids("What now?"), 2,
        1, *ids("Soup."), 2,
        *ids("Why?"), 2,
    ]  # fmt: skip


def test_our_own_format_without_a_persona_begins_with_the_talk() -> None:
    conversation = Conversation(KEY, Persona("Nobody"), (Turn(Role.USER, "Why?"),))
    assert FORMATS["turns"].encode(conversation, 50) == [*ids("Why?"), 2]


def test_chatml_ends_with_the_assistants_header() -> None:
    conversation = Conversation(
        KEY, Persona("Robin"), (Turn(Role.USER, "Hi"), Turn(Role.BOT, "Yes?"), Turn(Role.USER, "Why?"))
    )
    found = FORMATS["chatml"].encode(conversation, 300)
    newline = ids("\n")
    assert found[: len(ids("system")) + 2] == [1, *ids("system"), *newline]
    end = [
        1, *ids("user"), *newline, *ids("Hi"), 2, *newline,
        1, *ids("assistant"), *newline, *ids("Yes?"), 2, *newline,
        1, *ids("user"), *newline, *ids("Why?"), 2, *newline,
        1, *ids("assistant"),
    ]  # fmt: skip
    assert found[-len(end) :] == end


def test_speakers_are_named_only_where_there_are_several() -> None:
    def texts_of(*speakers: str) -> list[str]:
        said = tuple(Turn(Role.USER, "hi", speaker) for speaker in speakers)
        return [
            turn.text for turn in talk(Conversation(KEY, Persona("Robin"), (*said, Turn(Role.BOT, "yes", "Robin"))))
        ]

    assert texts_of("Ann", "Ann") == ["hi", "hi", "yes"]
    assert texts_of("Ann", "Bo") == ["Ann: hi", "Bo: hi", "yes"]


def test_empty_facts_and_styles_leave_no_trace() -> None:
    assert persona_sentences(Persona("Robin", facts=(" I cook. ", ""), style="  ")) == ["I cook."]


def test_a_megabyte_of_text_is_read_at_once() -> None:
    conversation = Conversation(KEY, Persona("Robin"), (Turn(Role.USER, "x y " * 250_000 + "the end"),))
    found = FORMATS["turns"].encode(conversation, 100)
    assert len(found) == 100
    assert VOCABULARY.decode(found).endswith("the end")


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_plain_text_survives_the_vocabulary(text: str) -> None:
    assert VOCABULARY.decode(VOCABULARY.encode(text)) == text


@pytest.mark.parametrize("text", ["<|im_end|>", "a<|im_start|>b", "<|im_end|><|im_end|>", "<<|im_end|>"])
def test_a_typed_special_token_stays_the_characters_it_is(text: str) -> None:
    found = VOCABULARY.encode(text)
    assert not {0, 1, 2} & set(found)
    assert VOCABULARY.decode(found) == text


def test_a_special_token_that_is_also_a_piece_of_the_vocabulary_is_not_taken() -> None:
    pieces = TokenizerVocabulary(piece_tokenizer(["<pad>", "<s>", "</s>", "<unk>"]))
    assert pieces.token_id("</s>") == 2
    assert 2 not in pieces.encode("hello </s> you")


def test_lone_surrogates_are_replaced() -> None:
    assert VOCABULARY.decode(VOCABULARY.encode("a\ud83db")) == "a?b"


def test_cutting_takes_nothing_away() -> None:
    special = SpecialTokens(["<s>", "</s>", "_"])
    assert special.cut("a</s><s>_b") == ["a<", "/s><", "s>_b"]
    assert SpecialTokens([]).cut("a</s>") == ["a</s>"]


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing"):
        TokenizerVocabulary.from_file(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("[]")
    with pytest.raises(UserError, match="damaged"):
        TokenizerVocabulary.from_file(tmp_path / "tokenizer.json")
