"""How often a cheaper number format says the same: the share of replies equal to those in fp32, on real contexts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dialogue.decoding.config import DecodingConfig
from dialogue.generator import GenerationRequest, Generator
from dialogue.models.chat_model import ChatModel
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


@dataclass(frozen=True, slots=True)
class Agreement:
    """One format against fp32: the shares of contexts with the same reply, and with the same candidates throughout."""

    dtype: str
    contexts: int
    same_reply: float
    same_candidates: float


def compare(
    load: Callable[[str], ChatModel], dtypes: Sequence[str], config: DecodingConfig, persona: Persona
) -> list[Agreement]:
    """Decode the openings in float32 and in each of ``dtypes``, one model in memory at a time."""
    wanted = _replies(load("float32"), config, persona)
    rows = []
    for dtype in dtypes:
        found = _replies(load(dtype), config, persona)
        pairs = list(zip(found, wanted, strict=True))
        first = sum(a[:1] == b[:1] for a, b in pairs) / len(pairs)
        rows.append(Agreement(dtype, len(pairs), first, sum(a == b for a, b in pairs) / len(pairs)))
    return rows


def _replies(model: ChatModel, config: DecodingConfig, persona: Persona) -> list[list[str]]:
    """The candidates' texts for each opening, best first."""
    requests = [
        GenerationRequest(
            Conversation(ConversationKey("bench", str(number)), persona, (Turn(Role.USER, text),)), config
        )
        for number, text in enumerate(OPENINGS)
    ]
    return [[candidate.text for candidate in found] for found in Generator(model).generate(requests)]
