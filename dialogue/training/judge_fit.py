"""A judge for weights that stay as they are: one reading of all judged replies, then a small convex problem.

The judge is the vector w that makes the better of two replies to a talk the likelier winner, P = sigmoid(w · (s_better
- s_worse)) (Bradley and Terry 1952; Ouyang et al. 2022, equation 1), s being the decoder's state after a reply's end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.training.judged import JudgedTalks, side_by_side
from dialogue.training.network import ReplyLoss
from dialogue.training.preferences import TALKS_READ, read_replies

SHRINKAGE = (1e-4, 1e-3, 1e-2, 1e-1)  # of the squared length of w, in nats; the best on held-out talks is taken
HELD_OUT = 10  # one talk in so many
VAGUE = 0.5  # what a pair of sensible replies counts, as in training


@dataclass(frozen=True, slots=True)
class FittedJudge:
    """The (width,) vector, and of the held-out talks' pairs the share that it orders rightly, by weight."""

    weight: Tensor
    accuracy: float
    pairs: int


@torch.no_grad()
def end_states(loss: ReplyLoss, talks: JudgedTalks, on_done: Callable[[int], None] = lambda count: None) -> Tensor:
    """(R, width) float32 states after the ends of all replies; ``on_done`` hears how many talks were read."""
    found = []
    for at in range(0, len(talks.all), TALKS_READ):
        batch = side_by_side(talks.all[at : at + TALKS_READ]).to(loss.model.embed.weight.device)
        with loss.context():
            found.append(read_replies(loss.model, batch)[1].float().cpu())
        on_done(min(at + TALKS_READ, len(talks.all)))
    return torch.cat(found)


def fit_judge(states: Tensor, talks: JudgedTalks) -> FittedJudge:
    """The judge of (R, width) states, its shrinkage chosen on every tenth talk; then fitted to all talks."""
    batch = side_by_side(talks.all)
    held_out = batch.talk % HELD_OUT == HELD_OUT - 1
    better, worse, share = batch.pairs(VAGUE)
    apart = held_out[better]
    learnt, asked = ((better[some], worse[some], share[some]) for some in (~apart, apart))
    tried = [(_accuracy(_solved(states, learnt, by), states, asked), by) for by in SHRINKAGE]
    accuracy, shrinkage = max(tried)
    return FittedJudge(_solved(states, (better, worse, share), shrinkage), accuracy, int(apart.sum()))


Pairs = tuple[Tensor, Tensor, Tensor]
"""(P,) better rows, worse rows, and what each pair counts, as Replies.pairs gives them."""


def _solved(states: Tensor, pairs: Pairs, shrinkage: float) -> Tensor:
    """The vector that minimises the pairs' mean loss and ``shrinkage`` times its squared length."""
    better, worse, share = pairs
    differences, weight = states[better] - states[worse], torch.zeros(states.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -(F.logsigmoid(differences @ weight) * share).sum() / share.sum() + shrinkage * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    return weight.detach()


def _accuracy(weight: Tensor, states: Tensor, pairs: Pairs) -> float:
    better, worse, share = pairs
    right = (states[better] @ weight > states[worse] @ weight).float()
    return float((right * share).sum() / share.sum().clamp(min=1e-9))
