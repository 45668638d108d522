"""How likely given replies are: teacher forcing through the same protocol that searches use (encode, then steps)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from dialogue.decoding.protocol import Seq2Seq
from dialogue.decoding.tables import rectangle

if TYPE_CHECKING:
    from dialogue.models.chat_model import ChatModel


@torch.inference_mode()
def score(
    model: Seq2Seq,
    contexts: Sequence[Sequence[int]],
    replies: Sequence[Sequence[int]],
    *,
    start_id: int,
    pad_id: int,
    device: torch.device | str = "cpu",
) -> list[list[float]]:
    """Log-probability (nats) of every token of every reply after the context beside it; no score rules apply.

    Equal contexts are encoded once. A reply's list is as long as the reply; an empty reply has an empty list.
    """
    if len(contexts) != len(replies):
        raise ValueError(f"{len(contexts)} contexts for {len(replies)} replies; give one context for each reply")
    device = torch.device(device)
    distinct = list(dict.fromkeys(tuple(context) for context in contexts))
    order = sorted((i for i in range(len(replies)) if replies[i]), key=lambda i: -len(replies[i]))
    found: list[list[float]] = [[] for _ in replies]
    if not order:
        return found
    ids = rectangle(distinct, device, pad_id)
    lengths = torch.tensor([len(context) for context in distinct], device=device)
    state = model.encode(ids, (torch.arange(ids.shape[1], device=device) < lengths[:, None]).long())
    number = {context: row for row, context in enumerate(distinct)}
    rows = torch.tensor([number[tuple(contexts[i])] for i in order], device=device)
    targets = rectangle([tuple(replies[i]) for i in order], device, pad_id)
    last = torch.full((len(order),), start_id, dtype=torch.long, device=device)
    for step in range(targets.shape[1]):
        live = sum(len(replies[i]) > step for i in order)  # longest first: the live rows are the first ones
        if step == 0 or live < len(last):
            state = model.reorder(state, rows if step == 0 else torch.arange(live, device=device))
        log_probs, state = model.step(last[:live], state)
        last = targets[:live, step]
        for i, value in zip(order, log_probs.gather(1, last[:, None]).flatten().tolist(), strict=False):
            found[i].append(value)
    return found


def mean_log_prob(model: ChatModel, context: Sequence[int], replies: Sequence[Sequence[int]]) -> list[float]:
    """Mean log-probability per token (nats) of each reply after one context; minus infinity for an empty reply."""
    contexts = [context] * len(replies)
    found = score(model.seq2seq, contexts, replies, start_id=model.start_id, pad_id=model.pad_id)
    return [sum(tokens) / len(tokens) if tokens else -torch.inf for tokens in found]
