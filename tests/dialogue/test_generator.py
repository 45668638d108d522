"""The generator with a small real network: texts, ranking, joining and leaving between steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.candidates import Candidate
from dialogue.decoding.config import PRESETS, DecodingConfig
from dialogue.generator import GenerationRequest, Generator
from dialogue.models.chat_model import ChatModel
from dialogue.models.loading import load
from dialogue.persona_cards import load_persona
from dialogue.turns import Conversation, ConversationKey, Role, Turn


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> ChatModel:
    return load(str(tiny_checkpoint), dtype="float32")


def request(text: str, config: DecodingConfig, persona: str = "robin") -> GenerationRequest:
    turns = (Turn(Role.USER, text),)
    return GenerationRequest(Conversation(ConversationKey("test", text), load_persona(persona), turns), config)


def said(model: ChatModel, requests: list[GenerationRequest], **limits: int) -> list[list[str]]:
    """The texts of all candidates of each request; sums of rounded numbers may differ in their last digits."""
    return [texts(candidates) for candidates in Generator(model, **limits).generate(requests)]


def texts(candidates: list[Candidate]) -> list[str]:
    return [candidate.text for candidate in candidates]


QUICK = DecodingConfig(num_beams=3, num_return=3, max_length=12, no_repeat_ngram=3, no_repeat_context_ngram=3)
TEXTS = ["Hi!", "What do you like to eat, and where?", "Tell me a story.", "ok"]


@pytest.mark.parametrize("name", ["beam", "greedy", "meena"])
def test_a_conversation_gets_the_same_candidates_alone_and_in_a_crowd(model: ChatModel, name: str) -> None:
    config = PRESETS[name].with_(max_length=10, seed=3)
    alone = [said(model, [request(text, config)])[0] for text in TEXTS]
    together = [request(text, config) for text in TEXTS]
    assert said(model, together) == alone
    assert said(model, together, max_rows=config.num_beams) == alone


def test_requests_join_and_leave_between_steps_without_a_trace(model: ChatModel) -> None:
    alone = [said(model, [request(text, QUICK)])[0] for text in TEXTS]
    generator, answers = Generator(model), dict[int, list[Candidate]]()
    for place, text in enumerate(TEXTS):
        generator.admit({place: request(text, QUICK)})
        answers |= generator.step()
    generator.drop(3)
    while generator.live:
        answers |= generator.step()
    assert [texts(answers[place]) for place in range(3)] == alone[:3]


def test_candidates_come_best_first_and_the_dropped_ones_last(model: ChatModel) -> None:
    candidates = Generator(model).generate([request("Hi!", QUICK)])[0]
    kept = [candidate for candidate in candidates if candidate.dropped_by is None]
    assert candidates[: len(kept)] == kept
    scores = [candidate.hypothesis.score for candidate in kept]
    assert scores == sorted(scores, reverse=True)


def test_a_blocked_phrase_is_never_said(model: ChatModel) -> None:
    free = Generator(model).generate([request("Hi!", QUICK)])[0][0].text
    blocked = QUICK.with_(blocked_phrases=(free[:2],))
    assert all(free[:2] not in candidate.text for candidate in Generator(model).generate([request("Hi!", blocked)])[0])


def test_pmi_ranks_by_what_the_conversation_adds(model: ChatModel) -> None:
    candidates = Generator(model).generate([request("Hi!", QUICK.with_(pmi_lambda=0.5))])[0]
    kept = [candidate for candidate in candidates if candidate.dropped_by is None]
    pmi = [candidate.features["pmi"] for candidate in kept]
    assert pmi == sorted(pmi, reverse=True)
    for candidate in kept:
        expected = candidate.features["mean_log_prob"] - 0.5 * candidate.features["log_prob_alone"]
        assert candidate.features["pmi"] == pytest.approx(expected)


def test_a_model_that_is_told_nothing_at_all_still_answers(model: ChatModel) -> None:
    bare = GenerationRequest(Conversation(ConversationKey("test", "bare"), load_persona("plain")), QUICK)
    assert Generator(model).generate([bare])[0]


@pytest.mark.parametrize("turns", [1, 50, 200])
def test_persona_and_facts_reach_the_model_after_two_hundred_turns(model: ChatModel, turns: int) -> None:
    persona = load_persona("robin")
    talk = tuple(Turn(Role.USER if n % 2 else Role.BOT, f"turn number {n} of a long talk") for n in range(turns))
    ids = model.context_format.encode(Conversation(ConversationKey("test", "long"), persona, talk), model.max_context)
    text = model.vocabulary.decode(ids)
    assert len(ids) <= model.max_context
    assert all(fact.replace("'", "") in text.replace("'", "") for fact in persona.facts)
