"""What it costs to rate replies that are given: the candidates of a reply without the talk before, as PMI wants them.

The prefix trees of the candidates are read level by level and all at once, in turns, beside whole replies.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from dialogue.decoding.protocol import DecoderState, Seq2Seq, TreeSeq2Seq
from dialogue.decoding.scoring import score
from dialogue.errors import UserError
from dialogue.generator import GenerationRequest, Generator
from dialogue.models.chat_model import ChatModel
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from eval.bench.agreement import OPENINGS


@dataclass(frozen=True, slots=True)
class Cost:
    """Sums over all contexts: the ``tokens`` of their candidates, the ``nodes`` of the prefix trees, and seconds.

    ``reply_s`` are whole replies with the model's own decoding. ``gap`` is the largest difference between the two ways
    in nats a token.
    """

    contexts: int
    tokens: int
    nodes: int
    levels_s: float
    at_once_s: float
    reply_s: float
    gap: float


class ByLevels:
    """A model that can do no more than Seq2Seq asks for."""

    def __init__(self, model: Seq2Seq) -> None:
        self.vocab_size, self._model = model.vocab_size, model

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> DecoderState:
        """(B, S) ids and mask -> the state of B rows."""
        return self._model.encode(input_ids, attention_mask)

    def step(self, last_ids: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """(N,) newest ids -> (N, V) log-probabilities, and the state after them."""
        return self._model.step(last_ids, state)

    def reorder(self, state: DecoderState, rows: Tensor) -> DecoderState:
        """(M,) old row indices -> the state whose row m continues old row rows[m]."""
        return self._model.reorder(state, rows)


def measure_scoring(model: ChatModel, persona: Persona, count: int, rounds: int) -> Cost:
    """Answer ``count`` openings and rate their candidates both ways, ``rounds`` times after one to warm up.

    Raises UserError where the model reads no trees at once.
    """
    if not isinstance(model.seq2seq, TreeSeq2Seq):
        raise UserError(f"{model.name} reads token by token only; measure a model of our own or a BlenderBot.")
    costs = [_cost(model, Conversation(_KEY, persona, (Turn(Role.USER, text),)), rounds) for text in OPENINGS[:count]]
    return Cost(
        contexts=len(costs),
        tokens=sum(cost.tokens for cost in costs),
        nodes=sum(cost.nodes for cost in costs),
        levels_s=sum(cost.levels_s for cost in costs),
        at_once_s=sum(cost.at_once_s for cost in costs),
        reply_s=sum(cost.reply_s for cost in costs),
        gap=max(cost.gap for cost in costs),
    )


_KEY = ConversationKey("bench", "scoring")


def _cost(model: ChatModel, conversation: Conversation, rounds: int) -> Cost:
    """For one conversation; the seconds are medians over the rounds."""
    generator, request = Generator(model), GenerationRequest(conversation, model.defaults.with_(seed=0))
    replies = [candidate.hypothesis.token_ids for candidate in generator.generate([request])[0]]
    bare = Conversation(conversation.key, conversation.persona, ())
    context = model.context_format.encode(bare, model.max_context) or [model.eos_id]

    def rate(seq2seq: Seq2Seq) -> list[list[float]]:
        return score(seq2seq, [context] * len(replies), replies, start_id=model.start_id, pad_id=model.pad_id)

    slow, fast = rate(ByLevels(model.seq2seq)), rate(model.seq2seq)
    levels, at_once, whole = _in_turns(
        (lambda: rate(ByLevels(model.seq2seq)), lambda: rate(model.seq2seq), lambda: generator.generate([request])),
        rounds,
    )
    pairs = zip((value for reply in slow for value in reply), (value for reply in fast for value in reply), strict=True)
    nodes = {reply[:size] for reply in replies for size in range(len(reply))}
    gap = max((abs(a - b) for a, b in pairs), default=0.0)
    return Cost(1, sum(map(len, replies)), len(nodes), levels, at_once, whole, gap)


def _in_turns(works: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Seconds that each work takes: medians over rounds in which all have their turn."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, own in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            own.append(time.perf_counter() - start)
    return [statistics.median(own) for own in times]
