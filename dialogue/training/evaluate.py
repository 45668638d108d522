"""How well a network predicts held-out replies: nats per word, the same tokens whoever is asked.

Perplexity per word is the exponential of the nats of a reply's own tokens and of its end over its words; the reply's
words alone are told apart. The plain language model is asked through its own chat template.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from dialogue.models.aligned import AlignedModel
from dialogue.training.examples import END, IGNORED, START, Example, Windows, collate, context_ids, make_example
from dialogue.training.tokens import TokenTalks

CONTEXT_CAP, REPLY_CAP = 192, 128
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


@dataclass(frozen=True, slots=True)
class Score:
    """Nats of a source's replies, nats of ending them, words, and how many replies there were."""

    nats: float
    end_nats: float
    words: int
    replies: int

    @property
    def nats_per_word(self) -> float:
        """Nats of the replies, their ends included, for each of their words."""
        return (self.nats + self.end_nats) / self.words

    @property
    def perplexity(self) -> float:
        """exp(nats per word)."""
        return math.exp(self.nats_per_word)

    @property
    def perplexity_of_words(self) -> float:
        """The same without what it costs to end the turn."""
        return math.exp(self.nats / self.words)


@dataclass(frozen=True, slots=True)
class Question:
    """A reply to predict: what is read, what is said (start token, reply, end of turn), and its words."""

    read: list[int]
    said: list[int]
    words: int


MakeQuestion = Callable[[TokenTalks, int, int], Question]


def chosen(talks: TokenTalks, count: int, seed: int = 0) -> list[tuple[int, int]]:
    """(talk, turn) of up to ``count`` replies of at most REPLY_CAP tokens, drawn evenly, the same for every model."""
    pairs = [
        (talk, turn)
        for talk in range(talks.talks)
        for turn in range(int(talks.talk_starts[talk]) + 1, int(talks.talk_starts[talk + 1]))
        if talks.turn_words[turn] > 0 and talks.turn_starts[turn + 1] - talks.turn_starts[turn] < REPLY_CAP
    ]
    return sorted(random.Random(seed).sample(pairs, min(count, len(pairs))))


def in_turns(talks: TokenTalks, talk: int, turn: int) -> Question:
    """The question in the "turns" format that our networks are trained on."""
    windows = Windows(persona=CONTEXT_CAP, reply=REPLY_CAP + 1, turns=1)
    example = make_example(talks, talk, turn, CONTEXT_CAP, windows, persona=True)
    return Question(example.encoder, [*example.decoder, END], int(talks.turn_words[turn]))


def in_chat_template(tokenizer: Tokenizer) -> MakeQuestion:
    """Makes the question in SmolLM2-Instruct's chat template: the same turns, the persona in the system message."""

    def plain(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    def message(role: str, body: list[int]) -> list[int]:
        return [START, *plain(f"{role}\n"), *body, END, *plain("\n")]

    def question(talks: TokenTalks, talk: int, turn: int) -> Question:
        speaker = int(talks.speakers[turn])
        facts = [*plain("\n"), *talks.persona(talk)] if speaker == 1 and len(talks.persona(talk)) else []
        read = message("system", plain(SYSTEM) + facts)
        for earlier in turns_read(talks, talk, turn):
            role = "assistant" if int(talks.speakers[earlier]) == speaker else "user"
            read += message(role, talks.turn(earlier))
        read += [START, *plain("assistant\n")]
        return Question(read[:-1], [read[-1], *talks.turn(turn), END], int(talks.turn_words[turn]))

    return question


def turns_read(talks: TokenTalks, talk: int, turn: int) -> range:
    """The earlier turns that fit into the context, the same ones as in :func:`in_turns`."""
    ids = context_ids(talks, talk, turn, CONTEXT_CAP, [])
    return range(max(turn - max(ids.count(END), 1), int(talks.talk_starts[talk])), turn)


@torch.inference_mode()
def score(model: AlignedModel, questions: Sequence[Question], budget: int = 4096) -> Score:
    """Nats of all questions' replies under the network as it is."""
    was_training, device = model.training, model.embed.weight.device
    model.eval()
    nats = ends = 0.0
    for group in _groups(questions, budget):
        batch = collate([Example(q.read, q.said[:-1], q.said[1:], [1.0] * (len(q.said) - 1)) for q in group]).to(device)
        states = model.states(batch.input_ids, batch.attention_mask, batch.decoder_ids)
        losses = _losses(states, model.embed.weight, batch.labels)
        last = torch.tensor([len(q.said) - 2 for q in group], device=device)
        end = losses.gather(1, last[:, None]).sum()
        nats, ends = nats + float(losses.sum() - end), ends + float(end)
    model.train(was_training)
    return Score(nats, ends, sum(q.words for q in questions), len(questions))


def _losses(states: Tensor, head: Tensor, labels: Tensor) -> Tensor:
    """(B, T, W) states -> (B, T) nats, zero where the label is IGNORED; few logits at a time."""
    flat, wanted = states.flatten(0, 1), labels.flatten()
    losses = torch.zeros(wanted.shape, device=flat.device)
    keep = (wanted != IGNORED).nonzero()[:, 0]
    for rows in torch.split(keep, 256):
        logits = F.linear(flat[rows], head.to(flat.dtype)).float()
        losses[rows] = F.cross_entropy(logits, wanted[rows], reduction="none")
    return losses.view_as(labels)


def _groups(questions: Sequence[Question], budget: int) -> list[list[Question]]:
    ordered = sorted(questions, key=lambda q: len(q.read) + len(q.said))
    groups: list[list[Question]] = [[]]
    for q in ordered:
        if groups[-1] and (len(q.read) + len(q.said)) * (len(groups[-1]) + 1) > budget:
            groups.append([])
        groups[-1].append(q)
    return groups


def validation(
    sources: Mapping[str, TokenTalks], count: int, make_question: MakeQuestion = in_turns
) -> dict[str, list[Question]]:
    """Up to ``count`` questions of each source."""
    return {name: [make_question(talks, *at) for at in chosen(talks, count)] for name, talks in sources.items()}


def scores(model: AlignedModel, questions: Mapping[str, Sequence[Question]]) -> dict[str, Score]:
    """The score of every source."""
    return {name: score(model, asked) for name, asked in questions.items()}
