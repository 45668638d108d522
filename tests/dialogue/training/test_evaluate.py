from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from dialogue.models.aligned import AlignedModel, aligned_from_llama
from dialogue.models.base import NAME
from dialogue.training.corpus import split_talks
from dialogue.training.evaluate import Question, chosen, in_chat_template, in_turns, score, validation
from dialogue.training.examples import END, START
from dialogue.training.tokens import TokenTalks, tokenise


@pytest.fixture
def folder(base_cache: Path) -> Path:
    return base_cache / "models" / NAME


@pytest.fixture
def tokenizer(folder: Path) -> Tokenizer:
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


@pytest.fixture
def talks(corpus: Path, tokenizer: Tokenizer) -> TokenTalks:
    return tokenise(split_talks(corpus, "facts", "train"), tokenizer)


@pytest.fixture
def model(folder: Path) -> AlignedModel:
    return aligned_from_llama(folder, "bidirectional")


def test_a_score_is_the_sum_of_what_each_token_costs(model: AlignedModel, talks: TokenTalks) -> None:
    questions = [in_turns(talks, *at) for at in chosen(talks, 7)]
    words = ends = 0.0
    for q in questions:
        with torch.inference_mode():
            logits = model(torch.tensor([q.read]), torch.ones(1, len(q.read)), torch.tensor([q.said[:-1]]))[0]
        costs = -logits.log_softmax(-1).gather(1, torch.tensor(q.said[1:])[:, None])[:, 0]
        words, ends = words + float(costs[:-1].sum()), ends + float(costs[-1])
    found = score(model, questions, budget=200)
    assert (found.nats, found.end_nats) == pytest.approx((words, ends), rel=1e-4)
    assert found.nats_per_word == pytest.approx((words + ends) / sum(q.words for q in questions), rel=1e-4)
    assert found.perplexity == pytest.approx(math.exp(found.nats_per_word))
    assert found.perplexity_of_words < found.perplexity


def test_the_batching_does_not_change_a_score(model: AlignedModel, talks: TokenTalks) -> None:
    questions = validation({"facts": talks}, 20)["facts"]
    small, large = score(model, questions, budget=1), score(model, questions, budget=10_000)
    assert small.nats == pytest.approx(large.nats, rel=1e-4)


def test_everybody_is_asked_for_the_same_reply_tokens(talks: TokenTalks, tokenizer: Tokenizer) -> None:
    template = in_chat_template(tokenizer)
    for at in chosen(talks, 10):
        ours, theirs = in_turns(talks, *at), template(talks, *at)
        assert ours.said[1:] == theirs.said[1:]
        assert ours.said[0] == START
        assert ours.said[-1] == END
        assert ours.words == theirs.words


def test_the_template_is_that_of_the_base_model(talks: TokenTalks, tokenizer: Tokenizer) -> None:
    asked: Question = in_chat_template(tokenizer)(talks, 0, 1)
    text = tokenizer.decode([*asked.read, *asked.said], skip_special_tokens=False)
    first, second = (tokenizer.decode(talks.turn(turn)) for turn in (0, 1))
    assert text == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face\n"
        "I like tea. I am a gardener.<|im_end|>\n"
        f"<|im_start|>user\n{first}<|im_end|>\n<|im_start|>assistant\n{second}<|im_end|>"
    )
