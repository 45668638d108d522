"""What a cheaper number format costs: replies that change against fp32, or with the company, and likelihood lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.scoring import score
from dialogue.generator import GenerationRequest, Generator
from dialogue.models.chat_model import ChatModel
from dialogue.training.own_talks import own_talks
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

OPENINGS = (
    "Hi! How are you today?", "What do you like to do at the weekend?", "I just got a new puppy.",
    "Do you have any brothers or sisters?", "I failed my exam and I feel awful.", "What's your favourite film?",
    "Can you recommend a book?", "I'm thinking of learning the guitar.", "It has been raining for a week here.",
    "What did you have for breakfast?", "I can't sleep lately.", "Have you ever been to Japan?",
    "My neighbour plays the drums at night.", "I love cooking. Do you?", "Tell me something interesting.",
    "I'm moving to another city next month.", "Who is your favourite singer?", "I run five kilometres every morning.",
    "Do you believe in ghosts?", "My grandmother turned ninety yesterday.", "What would you do with a million pounds?",
    "I'm afraid of spiders.", "Which season do you like best?", "I had a fight with my best friend.",
)  # fmt: skip
"""First lines of conversations, our own."""

GIVEN_REPLIES, GIVEN_EVERY = 128, 30
"""How many of the project's own talks are rated, and every how-manieth: a sample of all their files."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One format against fp32: the shares of contexts with the same reply, and with the same candidates throughout.

    ``same_in_crowd`` is the share of contexts that this format answers alone as it does beside all the others.
    ``nats_lost`` is how much less likely a token of given replies is, in nats on average; negative: more likely.
    """

    dtype: str
    contexts: int
    same_reply: float
    same_candidates: float
    same_in_crowd: float
    nats_lost: float


def compare(
    load: Callable[[str], ChatModel], dtypes: Sequence[str], config: DecodingConfig, persona: Persona
) -> list[Agreement]:
    """Decode the openings in float32 and in each of ``dtypes``, one model in memory at a time."""
    exact = load("float32")
    wanted, likely = _replies(exact, config, persona), _nats_per_token(exact, persona)
    del exact
    rows = []
    for dtype in dtypes:
        model = load(dtype)
        found = _replies(model, config, persona)
        alone = _replies(model, config, persona, alone=True)
        lost = _nats_per_token(model, persona) - likely
        shares = _same(found, wanted, 1), _same(found, wanted), _same(found, alone, 1)
        rows.append(Agreement(dtype, len(found), *shares, lost))
        del model
    return rows


def _same(one: Sequence[list[str]], other: Sequence[list[str]], count: int | None = None) -> float:
    """The share of contexts with the same first ``count`` candidates; None: all of them."""
    return fmean(a[:count] == b[:count] for a, b in zip(one, other, strict=True))


def _nats_per_token(model: ChatModel, persona: Persona) -> float:
    """Minus the mean log-probability of a token of the bot's first answers in the project's own talks, end included."""
    contexts, replies = [], []
    for number, talk in enumerate(itertools.islice(own_talks(), 0, GIVEN_REPLIES * GIVEN_EVERY, GIVEN_EVERY)):
        (_, said), (_, answer) = talk.turns[:2]
        asked = Conversation(ConversationKey("bench", str(number)), persona, (Turn(Role.USER, said),))
        contexts.append(model.context_format.encode(asked, model.max_context))
        replies.append([*model.vocabulary.encode(answer), model.eos_id])
    found = score(model.seq2seq, contexts, replies, start_id=model.start_id, pad_id=model.pad_id)
    return -fmean(itertools.chain.from_iterable(found))


def _replies(model: ChatModel, config: DecodingConfig, persona: Persona, *, alone: bool = False) -> list[list[str]]:
    """The candidates' texts for each opening, best first; ``alone``: one opening after another, not all together."""
    requests = [
        GenerationRequest(
            Conversation(ConversationKey("bench", str(number)), persona, (Turn(Role.USER, text),)), config
        )
        for number, text in enumerate(OPENINGS)
    ]
    generator, batches = Generator(model), [[request] for request in requests] if alone else [requests]
    answers = itertools.chain.from_iterable(generator.generate(batch) for batch in batches)
    return [[candidate.text for candidate in found] for found in answers]
