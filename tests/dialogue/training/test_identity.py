from __future__ import annotations

from dialogue.training.examples import START, Sampler, Windows
from dialogue.training.identity import SOURCE, identity_talks
from dialogue.training.tokenizer import train_tokenizer
from dialogue.training.tokens import tokenise

TALKS = list(identity_talks(400))


def name_of(persona: tuple[str, ...]) -> str:
    return persona[0].removeprefix("My name is ").removesuffix(".")


def test_the_bot_answers_with_the_name_of_its_persona_and_no_other() -> None:
    names = {name_of(talk.persona) for talk in TALKS if talk.persona}
    asked = 0
    for talk in TALKS:
        own = name_of(talk.persona) if talk.persona else ""
        words = {word.strip("!,.?'s") for speaker, text in talk.turns if speaker == "B" for word in text.split()}
        assert (words & names) <= {own}
        asked += own in words
    assert len(names) > 30
    assert asked > 50


def test_every_talk_alternates_has_no_gap_left_and_some_have_no_persona() -> None:
    for talk in TALKS:
        assert [speaker for speaker, _ in talk.turns] == ["A", "B"] * (len(talk.turns) // 2)
        assert not any(gap in text for _, text in talk.turns for gap in "{}")
    assert sum(not talk.persona for talk in TALKS) == 80


def test_the_same_seed_makes_the_same_talks() -> None:
    assert list(identity_talks(20, seed=5)) == list(identity_talks(20, seed=5)) != list(identity_talks(20, seed=6))


def test_only_the_bots_turns_are_learnt_first_and_its_persona_is_always_there() -> None:
    tokenizer = train_tokenizer([text for talk in TALKS for _, text in talk.turns], 600)
    talks = tokenise((talk for talk in TALKS if talk.persona), tokenizer)
    answers = {text for talk in TALKS for speaker, text in talk.turns if speaker == "B"}
    windows = Windows(context=(200,), persona=100, reply=200, turns=1)
    for example in Sampler({SOURCE: talks}, {SOURCE: 1.0}, windows, 0, bot_only=(SOURCE,)).chunk(0, 100):
        assert example.decoder[0] == START
        assert tokenizer.decode(example.decoder[1:]) in answers
        assert tokenizer.decode(example.encoder).startswith("My name is ")
