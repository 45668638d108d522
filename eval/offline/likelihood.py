"""How likely given replies are under a chat model: what perplexity, ranking and the automatic SSA are made of.

Contexts and replies go in as text; dialogue/decoding/scoring.py does the teacher forcing. Nothing is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dialogue.decoding.scoring import Forced, Ids, teacher_force
from dialogue.models.chat_model import ChatModel
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from eval.offline.records import Likelihood

KEY = ConversationKey("evaluation", "likelihood")

PIECE = 64
"""Replies scored between two reports of progress."""


@dataclass(frozen=True, slots=True)
class Question:
    """A reply to be scored after a context, the last turn of which is the other speaker's."""

    context: tuple[str, ...]
    reply: str
    persona: Persona


def conversation_of(context: Sequence[str], persona: Persona) -> Conversation:
    """Texts as turns that alternate, the last one the person's."""
    roles = [Role.USER if (len(context) - place) % 2 else Role.BOT for place in range(len(context))]
    return Conversation(KEY, persona, tuple(Turn(role, text) for role, text in zip(roles, context, strict=True)))


def force_all(model: ChatModel, questions: Sequence[Question]) -> list[Forced]:
    """Every reply token by token, in order of the questions."""
    contexts = [context_ids(model, question) for question in questions]
    return _forced(model, contexts, [reply_ids(model, question.reply) for question in questions])


def context_ids(model: ChatModel, question: Question) -> Ids:
    """What the model reads: exactly what the engine gives it."""
    conversation = conversation_of(question.context, question.persona)
    return tuple(model.context_format.encode(conversation, model.max_context)) or (model.eos_id,)


def reply_ids(model: ChatModel, reply: str) -> Ids:
    """The reply's tokens and its end; a reply longer than the model may say keeps its beginning, without an end."""
    ids = model.vocabulary.encode(reply.strip())
    return (*ids, model.eos_id) if len(ids) < model.max_reply else tuple(ids[: model.max_reply])


def likelihoods(
    model: ChatModel,
    questions: Sequence[Question],
    *,
    alone: bool = False,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Likelihood]:
    """The likelihood of every reply, in order; ``alone``: also without its context (persona kept), for PMI.

    A value does not depend on its neighbours, up to the rounding of float arithmetic.
    """
    contexts = [context_ids(model, question) for question in questions]
    replies = [reply_ids(model, question.reply) for question in questions]
    found = _forced(model, contexts, replies, on_done)
    results = [
        _likelihood(forced, model.vocabulary.decode(reply)) for forced, reply in zip(found, replies, strict=True)
    ]
    if alone:
        without = _forced(model, [_bare(model, question) for question in questions], replies)
        results = [replace(each, alone=-sum(bare.log_probs)) for each, bare in zip(results, without, strict=True)]
    return results


def _bare(model: ChatModel, question: Question) -> Ids:
    return context_ids(model, replace(question, context=()))


def _likelihood(forced: Forced, said: str) -> Likelihood:
    words, size = max(len(said.split()), 1), max(len(said.encode("utf-8")), 1)
    return Likelihood(-sum(forced.log_probs), len(forced.log_probs), forced.right, words, size)


def _forced(
    model: ChatModel,
    contexts: Sequence[Ids],
    replies: Sequence[Ids],
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Forced]:
    """In pieces of ``PIECE``, those of one context and of like lengths together."""
    found = [Forced() for _ in replies]
    order = sorted(range(len(replies)), key=lambda i: (len(contexts[i]), contexts[i], len(replies[i]), i))
    for start in range(0, len(order), PIECE):
        piece = order[start : start + PIECE]
        ids = [contexts[i] for i in piece], [replies[i] for i in piece]
        forced = teacher_force(model.seq2seq, *ids, start_id=model.start_id, pad_id=model.pad_id)
        for place, value in zip(piece, forced, strict=True):
            found[place] = value
        on_done(len(piece))
    return found


def branch_log_probs(model: ChatModel, question: Question, sequences: Sequence[Ids]) -> list[float]:
    """Nats of each of many token sequences begun after the question's context and reply (taken without its end)."""
    begun = tuple(model.vocabulary.encode(question.reply))
    contexts = [context_ids(model, question)] * len(sequences)
    replies = [(*begun, *sequence) for sequence in sequences]
    forced = teacher_force(model.seq2seq, contexts, replies, start_id=model.start_id, pad_id=model.pad_id)
    return [sum(each.log_probs[len(begun) :]) for each in forced]
