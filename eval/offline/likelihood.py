"""How likely given replies are under a chat model: what perplexity, ranking and the automatic SSA are made of.

The same teacher forcing as dialogue/decoding/scoring.py, through the same protocol, but it also notes which token the
model would have chosen. Contexts and replies go in as text; nothing is generated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from dialogue.decoding.tables import rectangle
from dialogue.models.chat_model import ChatModel
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from eval.offline.records import Likelihood

KEY = ConversationKey("evaluation", "likelihood")


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


@dataclass(frozen=True, slots=True)
class Forced:
    """A given reply's token log-probabilities (nats), its end among them, and how many were the first choice."""

    log_probs: list[float]
    right: int

    @property
    def mean(self) -> float:
        """Nats per token."""
        return sum(self.log_probs) / len(self.log_probs)


def force_all(model: ChatModel, questions: Sequence[Question], rows: int = 48) -> list[Forced]:
    """Every reply token by token, in order of the questions."""
    contexts = [context_ids(model, question) for question in questions]
    replies = [reply_ids(model, question.reply) for question in questions]
    return [Forced(*found) for found in _forced(model, contexts, replies, rows, lambda count: None)]


def context_ids(model: ChatModel, question: Question) -> tuple[int, ...]:
    """What the model reads: exactly what the engine gives it."""
    conversation = conversation_of(question.context, question.persona)
    return tuple(model.context_format.encode(conversation, model.max_context)) or (model.eos_id,)


def reply_ids(model: ChatModel, reply: str) -> tuple[int, ...]:
    """The reply's tokens and its end; a reply longer than the model may say keeps its beginning, without an end."""
    ids = model.vocabulary.encode(reply.strip())
    return (*ids, model.eos_id) if len(ids) < model.max_reply else tuple(ids[: model.max_reply])


def likelihoods(
    model: ChatModel,
    questions: Sequence[Question],
    *,
    alone: bool = False,
    rows: int = 32,
    on_done: Callable[[int], None] = lambda count: None,
) -> list[Likelihood]:
    """The likelihood of every reply, in order; ``alone``: also without its context (persona kept), for PMI.

    ``rows`` are scored together, those of one context side by side, which spares the cache empty places; a value does
    not depend on its neighbours, up to the rounding of float arithmetic.
    """
    contexts = [context_ids(model, question) for question in questions]
    replies = [reply_ids(model, question.reply) for question in questions]
    found = _forced(model, contexts, replies, rows, on_done)
    bare = [_bare(model, question) for question in questions] if alone else []
    without = _forced(model, bare, replies, rows, lambda count: None) if alone else []
    results: list[Likelihood] = []
    for place, (log_probs, right) in enumerate(found):
        said = model.vocabulary.decode(replies[place])
        results.append(_likelihood(log_probs, right, said))
        if alone:
            results[-1] = replace(results[-1], alone=-sum(without[place][0]))
    return results


def _bare(model: ChatModel, question: Question) -> tuple[int, ...]:
    return context_ids(model, replace(question, context=()))


def _likelihood(log_probs: Sequence[float], right: int, said: str) -> Likelihood:
    words, size = max(len(said.split()), 1), max(len(said.encode("utf-8")), 1)
    return Likelihood(-sum(log_probs), len(log_probs), right, words, size)


def _forced(
    model: ChatModel,
    contexts: Sequence[tuple[int, ...]],
    replies: Sequence[tuple[int, ...]],
    rows: int,
    on_done: Callable[[int], None],
) -> list[tuple[list[float], int]]:
    """(log-probabilities of the tokens, how many were the model's first choice) of every reply."""
    found: list[tuple[list[float], int]] = [([], 0)] * len(replies)
    order = sorted(range(len(replies)), key=lambda i: (len(contexts[i]), contexts[i], len(replies[i]), i))
    for start in range(0, len(order), rows):
        group = sorted(order[start : start + rows], key=lambda i: -len(replies[i]))
        scored = _force(model, [contexts[i] for i in group], [replies[i] for i in group])
        for place, value in zip(group, scored, strict=True):
            found[place] = value
        on_done(len(group))
    return found


@torch.inference_mode()
def _force(
    model: ChatModel, contexts: Sequence[tuple[int, ...]], replies: Sequence[tuple[int, ...]]
) -> list[tuple[list[float], int]]:
    """One batch, longest reply first: equal contexts are read once, rows leave when their reply is over."""
    network, cpu = model.seq2seq, torch.device("cpu")
    distinct = list(dict.fromkeys(contexts))
    number = {context: row for row, context in enumerate(distinct)}
    ids = rectangle(distinct, cpu, model.pad_id)
    lengths = torch.tensor([len(context) for context in distinct])
    state = network.encode(ids, (torch.arange(ids.shape[1]) < lengths[:, None]).long())
    targets = rectangle(list(replies), cpu, model.pad_id)
    last = torch.full((len(replies),), model.start_id)
    rows = torch.tensor([number[context] for context in contexts])
    log_probs: list[list[float]] = [[] for _ in replies]
    right = [0] * len(replies)
    for step in range(targets.shape[1]):
        live = sum(len(reply) > step for reply in replies)
        if step == 0 or live < len(last):
            state = network.reorder(state, rows if step == 0 else torch.arange(live))
        found, state = network.step(last[:live], state)
        last = targets[:live, step]
        chosen = (found.argmax(-1) == last).tolist()
        for row, value in enumerate(found.gather(1, last[:, None]).flatten().tolist()):
            log_probs[row].append(value)
            right[row] += chosen[row]
    return list(zip(log_probs, right, strict=True))


MOST_BRANCHES = 100
"""Rows of one tree: many rows that share one conversation's cache make each other slower."""


def branch_log_probs(model: ChatModel, question: Question, sequences: Sequence[tuple[int, ...]]) -> list[float]:
    """Nats of each of many token sequences begun after the question's context and reply (taken without its end).

    Sequences are walked as trees, so that equal beginnings are computed once: all 10,000 four-digit numbers cost about
    1,200 rows where digits are tokens. None may be empty or stand twice.
    """
    found: dict[tuple[int, ...], float] = {}
    for group in _trees(sequences):
        found |= _walk(model, question, group)
    return [found[sequence] for sequence in sequences]


def _trees(sequences: Sequence[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """The sequences by their first tokens, by as many of these as keep every level of a tree narrow enough."""
    deepest = max(map(len, sequences))
    groups: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for first in range(deepest + 1):
        groups = {}
        for sequence in sequences:
            groups.setdefault(sequence[:first], []).append(sequence)
        if all(len({s[:size] for s in own}) <= MOST_BRANCHES for own in groups.values() for size in range(deepest)):
            break
    return list(groups.values())


@torch.inference_mode()
def _walk(model: ChatModel, question: Question, sequences: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], float]:
    """The nats of every beginning of the sequences, level by level; a row is a beginning that goes on."""
    context = torch.tensor([context_ids(model, question)])
    state = model.seq2seq.encode(context, torch.ones_like(context))
    last = torch.tensor([model.start_id])
    for token in model.vocabulary.encode(question.reply):
        _, state = model.seq2seq.step(last, state)
        last = torch.tensor([token])
    found: dict[tuple[int, ...], float] = {(): 0.0}
    rows: list[tuple[int, ...]] = [()]
    inner = {sequence[:size] for sequence in sequences for size in range(len(sequence))}
    while rows:
        log_probs, state = model.seq2seq.step(last, state)
        place, size = {prefix: row for row, prefix in enumerate(rows)}, len(rows[0])
        reached = list(dict.fromkeys(sequence[: size + 1] for sequence in sequences if len(sequence) > size))
        parents = torch.tensor([place[prefix[:-1]] for prefix in reached])
        steps = log_probs[parents, torch.tensor([prefix[-1] for prefix in reached])].tolist()
        found |= {prefix: found[prefix[:-1]] + value for prefix, value in zip(reached, steps, strict=True)}
        rows = [prefix for prefix in reached if prefix in inner]
        if rows:
            last = torch.tensor([prefix[-1] for prefix in rows])
            state = model.seq2seq.reorder(state, torch.tensor([place[prefix[:-1]] for prefix in rows]))
    return found
