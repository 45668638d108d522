"""Learning from judged replies: of two replies to one talk, the better one becomes likelier.

Direct preference optimisation (Rafailov et al. 2023, equation 7) against the weights that the run began with, beside
the ordinary loss on talks, which keeps the language (Ouyang et al. 2022, section 3.5). All pairs of a talk's replies
are learnt together.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.models.aligned import AlignedModel, Sight
from dialogue.training import parallel
from dialogue.training.checkpoints import NAME as CHECKPOINT
from dialogue.training.checkpoints import save_checkpoint
from dialogue.training.examples import Batch
from dialogue.training.judged import JudgedTalks, Replies, side_by_side
from dialogue.training.losses import PreferenceSettings
from dialogue.training.network import ReplyLoss

REFERENCE = "reference.pt"
TALKS_READ = 8  # at once


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A batch of talks, and judged replies beside it; ``reference`` (R,) are their log-probabilities at the start."""

    talks: Batch
    judged: Replies
    reference: Tensor

    @property
    def tokens(self) -> int:
        """How many real tokens it holds."""
        return self.talks.tokens + self.judged.tokens

    @property
    def targets(self) -> int:
        """How many tokens are learnt from."""
        return self.talks.targets + self.judged.targets


def read_replies(model: AlignedModel, batch: Replies) -> Tensor:
    """(R,) nats of every reply, its end among them; differentiable. A talk is read once for all its replies."""
    memories = model.encode(batch.input_ids, batch.attention_mask)
    states = model.closed(model.through(0, model.embed(batch.decoder_ids), memories, sight_of(model, batch)))
    return log_probs(model, states, batch)


def log_probs(model: AlignedModel, states: Tensor, batch: Replies) -> Tensor:
    """(G, T, width) last states of the trees' nodes -> (R,) nats of every reply, its end among them."""
    reply, node, token = batch.asked.unbind(1)
    logits = F.linear(states[batch.talk[reply], node], model.embed.weight.to(states.dtype)).float()
    nats = -F.cross_entropy(logits, token, reduction="none")
    return torch.zeros(len(batch.talk), device=nats.device).index_add(0, reply, nats)


def sight_of(model: AlignedModel, batch: Replies) -> Sight:
    """What the nodes of the trees look at."""
    return model.sight(batch.attention_mask, batch.depth, batch.seen)


def with_reference(
    folder: Path, loss: ReplyLoss, talks: JudgedTalks, on_done: Callable[[int], None] = lambda count: None
) -> JudgedTalks:
    """The talks with their replies' log-probabilities under the weights that the run began with.

    A run that goes on from its checkpoint finds them in its folder; any other computes them, and the first process
    keeps them there. ``on_done`` hears how many talks were read.
    """
    path, sizes = folder / REFERENCE, [len(talk.replies) for talk in talks.all]
    mark = f"{talks.sha256} {loss.model.embed.weight.dtype}"
    if path.is_file() and (folder / CHECKPOINT).is_file():
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        if kept["mark"] == mark:
            return replace(talks, reference=torch.as_tensor(kept["log_probs"]).split(sizes))  # type: ignore[no-untyped-call]
    found = _references(loss, talks, on_done)
    if parallel.rank() == 0:
        save_checkpoint(folder, {"mark": mark, "log_probs": torch.cat(found)}, REFERENCE)
    return replace(talks, reference=found)


@torch.no_grad()
def _references(loss: ReplyLoss, talks: JudgedTalks, on_done: Callable[[int], None]) -> tuple[Tensor, ...]:
    """(R,) for each talk; those of like length are read together."""
    order = sorted(range(len(talks.all)), key=lambda number: talks.all[number].size)
    found: dict[int, Tensor] = {}
    for at in range(0, len(order), TALKS_READ):
        numbers = order[at : at + TALKS_READ]
        batch = side_by_side([talks.all[number] for number in numbers]).to(loss.model.embed.weight.device)
        with loss.context():
            nats = read_replies(loss.model, batch).cpu()
        found.update({number: nats[batch.talk.cpu() == place] for place, number in enumerate(numbers)})
        on_done(len(found))
    return tuple(found[number] for number in range(len(order)))


def judged_batches(
    talks: Iterator[Batch], judged: JudgedTalks, size: int, seed: int, start: int, share: tuple[int, int] = (0, 1)
) -> Iterator[JudgedBatch]:
    """Each batch of talks with ``size`` judged ones beside it, all of them in a new order each pass.

    ``share``: this process's number, and how many there are; each takes other talks.
    """
    place = (start * share[1] + share[0]) * size
    for batch in talks:
        chosen = [_place(place + i, len(judged.all), seed) for i in range(size)]
        place += size * share[1]
        before = torch.cat([judged.reference[number] for number in chosen])
        yield JudgedBatch(batch, side_by_side([judged.all[number] for number in chosen]), before)


def _place(number: int, count: int, seed: int) -> int:
    order = list(range(count))
    random.Random(f"{seed}/judged/{number // count}").shuffle(order)
    return order[number % count]


class JudgedLoss:
    """The loss on talks, and DPO's on the judged replies beside them."""

    def __init__(self, talks: ReplyLoss, settings: PreferenceSettings) -> None:
        self.talks, self.settings = talks, settings

    def __call__(self, batch: JudgedBatch) -> tuple[Tensor, Tensor]:
        """(weighted nats, sum of the weights), as ReplyLoss; a talk's pairs count as the settings say, in words."""
        nats, weights = self.talks(batch.talks)
        settings, judged = self.settings, batch.judged.to(weights.device)
        with self.talks.context():
            found = read_replies(self.talks.model, judged)
        better, worse, share = judged.pairs(settings.vague)
        gained = found - batch.reference.to(weights.device)
        lost = -F.logsigmoid(settings.beta * (gained[better] - gained[worse]))
        return nats + settings.weight * (lost * share).sum() / len(judged.input_ids) * weights, weights
