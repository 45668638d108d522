"""Greedy search and sampling: N independent rows per request, each ending by itself. Never sees the model.

The rows of one request start from one encoder row and its first log-probabilities, so N samples cost one encoder run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import DecodingConfig, Strategy
from dialogue.decoding.constraints import NOTHING, Rules, Said
from dialogue.decoding.randomness import uniforms
from dialogue.decoding.request import DecodingRequest, Finished
from dialogue.decoding.tables import pick, rectangle, stack
from dialogue.decoding.warpers import draw, warp, warpers_for


@dataclass(frozen=True, slots=True)
class Rows:
    """M live rows: ``tokens`` (M, L) from the start token on, ``contexts`` (M, S), random ``numbers`` (M, L) or (M, 0).

    Each (M,): ``lengths``, summed raw ``log_probs`` (nats), number of the ``sample`` and of its request (``owner``).
    """

    tokens: Tensor
    lengths: Tensor
    log_probs: Tensor
    sample: Tensor
    owner: Tensor
    contexts: Tensor
    numbers: Tensor


class Sampler:
    """The live requests of one sampling (or greedy) configuration.

    Temperature, top-k, nucleus and typical warps shape the draw; ``log_prob`` is the model's own. Sample-and-rank
    orders by mean log-probability per token (Adiwardana et al. 2020, "Towards a Human-like Open-Domain Chatbot",
    section 3); plain sampling keeps the order of drawing, so that the first hypothesis is a fair sample.
    """

    def __init__(
        self, config: DecodingConfig, requests: Sequence[DecodingRequest], rules: Rules, start_id: int, eos_id: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.config, self.rules, self.eos_id, self.device = config, rules, eos_id, device
        self.greedy = config.strategy in (Strategy.GREEDY, Strategy.BEAM)
        self.samples = 1 if self.greedy else config.samples
        self.warpers = () if self.greedy else warpers_for(config)
        self.ids: list[int] = [request.id for request in requests]
        self.steps = [0] * len(requests)
        self.found: list[list[tuple[int, Hypothesis]]] = [[] for _ in requests]
        self.fresh = True
        self.table = self._empty(requests, start_id)

    def _empty(self, requests: Sequence[DecodingRequest], start_id: int) -> Rows:
        room, each = self.config.max_length + 1, self.samples
        owner = torch.arange(len(requests), device=self.device).repeat_interleave(each)
        tokens = torch.full((len(owner), room), NOTHING, dtype=torch.long, device=self.device)
        tokens[:, 0] = start_id
        contexts = rectangle([request.blocked_context for request in requests], self.device)
        if self.greedy:
            numbers = torch.zeros((len(owner), 0))
        else:
            numbers = torch.cat([uniforms(request.seed, each, room) for request in requests])
        sample = torch.arange(each, device=self.device).repeat(len(requests))
        zeros = torch.zeros(len(owner), device=self.device)
        return Rows(tokens, zeros.long(), zeros, sample, owner, contexts[owner], numbers.to(self.device))

    @property
    def last_ids(self) -> Tensor:
        """(rows,) newest token of every model row."""
        table = self.table
        newest = table.tokens.gather(1, table.lengths[:, None]).squeeze(1)
        return newest[:: self.samples] if self.fresh else newest

    @property
    def rows(self) -> int:
        """How many model rows these requests have now."""
        return len(self.ids) if self.fresh else len(self.table.lengths)

    def advance(self, log_probs: Tensor) -> tuple[Tensor, list[Finished]]:
        """One step: (rows, V) log-probabilities -> (new rows,) parent row of each survivor; the requests now done."""
        scores = self._scores(log_probs)
        parents = self._parents()
        if self.fresh and self.samples > 1:
            scores, log_probs = scores[parents], log_probs[parents]
        self.fresh = False
        token, possible = self._next(scores)
        self._append(token, possible, log_probs)
        live = self._end(token, possible)
        return self._leave(live, parents)

    def _parents(self) -> Tensor:
        """(M,) the model row that each row of the table reads from."""
        return self.table.owner if self.fresh else torch.arange(len(self.table.owner), device=self.device)

    def _scores(self, log_probs: Tensor) -> Tensor:
        """(rows, V) warped scores under the rules; at the first step one row stands for all samples of a request."""
        table = self.table
        some = slice(None, None, self.samples) if self.fresh else slice(None)
        said = Said(table.tokens[some], table.lengths[some], table.contexts[some], min(self.steps), max(self.steps))
        return warp(self.rules(said, log_probs, reuse=True), self.warpers)

    def _next(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """(M,) next token of each row, and (M,) whether it had any."""
        if self.greedy:
            best, token = scores.max(dim=-1)
            return token, best > -torch.inf
        numbers = self.table.numbers.gather(1, self.table.lengths[:, None]).squeeze(1)
        return draw(scores, numbers), scores.amax(dim=-1) > -torch.inf

    def _append(self, token: Tensor, possible: Tensor, log_probs: Tensor) -> None:
        table, place = self.table, self.table.lengths[:, None] + 1
        added = log_probs.gather(1, token[:, None]).squeeze(1)
        self.table = replace(
            table,
            tokens=table.tokens.scatter(1, place, torch.where(possible, token, NOTHING)[:, None]),
            log_probs=torch.where(possible, table.log_probs + added, table.log_probs),
            lengths=table.lengths + possible,
        )
        self.steps = [step + 1 for step in self.steps]

    def _end(self, token: Tensor, possible: Tensor) -> Tensor:
        """(M,) which rows go on; the others become hypotheses."""
        table = self.table
        ended = (token == self.eos_id) | (table.lengths >= self.config.max_length) | ~possible
        for row in ended.nonzero().flatten().tolist() if bool(ended.any()) else ():
            length = int(table.lengths[row])
            ids = tuple(table.tokens[row, 1 : length + 1].tolist())
            log_prob = float(table.log_probs[row])
            hypothesis = Hypothesis(ids, log_prob, log_prob / max(length, 1), ids[-1:] == (self.eos_id,))
            if ids:
                self.found[int(table.owner[row])].append((int(table.sample[row]), hypothesis))
        return ~ended

    def _leave(self, live: Tensor, parents: Tensor) -> tuple[Tensor, list[Finished]]:
        """Let ended rows go, and answer the requests that have none left."""
        if bool(live.all()):
            return parents, []
        kept = live.nonzero().flatten()
        self.table = pick(self.table, kept)
        left = set(self.table.owner.tolist())
        done = [Finished(i, self.hypotheses(row)) for row, i in enumerate(self.ids) if row not in left]
        self._forget_owners(sorted(left))
        return parents[kept], done

    def hypotheses(self, row: int) -> list[Hypothesis]:
        """What request number ``row`` has finished so far, best first, at most ``num_return``."""
        drawn = [hypothesis for _, hypothesis in sorted(self.found[row], key=lambda pair: pair[0])]
        if self.config.strategy is Strategy.SAMPLE_AND_RANK:
            drawn.sort(key=lambda hypothesis: -hypothesis.score)
        return drawn[: self.config.num_return]

    def drop(self, row: int) -> Tensor:
        """Forget request number ``row`` at once: (rows left,) the model rows to keep."""
        kept = (self.table.owner != row).nonzero().flatten()
        others = [r for r in range(len(self.ids)) if r != row]
        rows = torch.tensor(others, dtype=torch.long, device=self.device) if self.fresh else kept
        self.table = pick(self.table, kept)
        self._forget_owners(others)
        return rows

    def _forget_owners(self, left: Sequence[int]) -> None:
        """Number the requests that are left afresh from 0."""
        number = torch.zeros(max(len(self.ids), 1), dtype=torch.long, device=self.device)
        number[list(left)] = torch.arange(len(left), device=self.device)
        self.table = replace(self.table, owner=number[self.table.owner])
        self.ids = [self.ids[row] for row in left]
        self.steps = [self.steps[row] for row in left]
        self.found = [self.found[row] for row in left]

    def merge(self, other: Sampler) -> None:
        """Take over the requests of another sampler of the same configuration; its model rows come after these."""
        theirs = replace(other.table, owner=other.table.owner + len(self.ids))
        self.table = stack(self.table, theirs)
        self.ids, self.steps = [*self.ids, *other.ids], [*self.steps, *other.steps]
        self.found = [*self.found, *other.found]
