"""Beam search over many requests of one configuration at once. Never sees the model: log-probabilities in, parents out.

R requests have K live hypotheses each, all in tensors with R in front; a request that is done leaves by itself. With
the same settings the result equals transformers' ``generate`` token for token, its finish path included: 2K candidates
a step, those among the first K that end go to a pool of the K best, the first K that go on stay live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.constraints import NOTHING, Rules, Said
from dialogue.decoding.penalties import divisor, divisor_of
from dialogue.decoding.request import DecodingRequest, Finished
from dialogue.decoding.tables import pick, rectangle, stack
from dialogue.decoding.topk import top

NEVER = -torch.inf


@dataclass(frozen=True, slots=True)
class Beams:
    """R beams of K hypotheses; L is one more than the longest reply. Scores are in nats, -inf where there is nothing.

    Live ones: ``tokens`` (R, K, L) from the start token on, ``scores`` and raw ``log_probs`` (R, K), ``lengths`` (R,).
    The pool of finished ones: ``done_tokens`` (R, K, L), ``done_lengths``, ``done_scores``, ``done_log_probs`` (R, K).
    ``closed`` (R,): the pool takes no more. ``contexts`` (R, S): blocked ids. ``uniforms`` (R, K, L or 0): random.
    """

    tokens: Tensor
    scores: Tensor
    log_probs: Tensor
    lengths: Tensor
    done_tokens: Tensor
    done_lengths: Tensor
    done_scores: Tensor
    done_log_probs: Tensor
    closed: Tensor
    contexts: Tensor
    uniforms: Tensor


@dataclass(frozen=True, slots=True)
class Continuations:
    """C ways to go on for each of R beams: parent ``beam``, ``token``, ``score`` and raw ``log_prob``, each (R, C)."""

    beam: Tensor
    token: Tensor
    score: Tensor
    log_prob: Tensor


class Beam:
    """The live requests of one configuration. Before the first :meth:`advance` a request has one row, afterwards K.

    The model's rows are those of request 0, then of request 1, …; ``last_ids`` are in the same order.
    """

    beams_per_request = 1  # diverse beam search has several smaller ones

    def __init__(
        self, config: DecodingConfig, requests: Sequence[DecodingRequest], rules: Rules, start_id: int, eos_id: int,
        device: torch.device,
    ) -> None:  # fmt: skip
        self.config, self.rules, self.eos_id = config, rules, eos_id
        self.ids: list[int] = [request.id for request in requests]
        self.steps = [0] * len(requests)
        self.width = config.num_beams // self.beams_per_request
        self.fresh = True
        self.beams = self._empty(requests, start_id, device)

    def _empty(self, requests: Sequence[DecodingRequest], start_id: int, device: torch.device) -> Beams:
        rows, width, room = len(requests) * self.beams_per_request, self.width, self.config.max_length + 1
        tokens = torch.full((rows, width, room), NOTHING, dtype=torch.long, device=device)
        tokens[:, :, 0] = start_id
        zeros = torch.zeros((rows, width), device=device)
        none = torch.full_like(zeros, NEVER)
        contexts = rectangle([request.blocked_context for request in requests], device)
        return Beams(
            tokens, zeros, zeros, torch.zeros(rows, dtype=torch.long, device=device),
            tokens, torch.zeros((rows, width), dtype=torch.long, device=device), none, none,
            torch.zeros(rows, dtype=torch.bool, device=device),
            contexts.repeat_interleave(self.beams_per_request, dim=0),
            self._uniforms(requests, room).to(device),
        )  # fmt: skip

    def _uniforms(self, requests: Sequence[DecodingRequest], room: int) -> Tensor:
        return torch.zeros((len(requests) * self.beams_per_request, self.width, 0))

    @property
    def last_ids(self) -> Tensor:
        """(rows,) newest token of every model row."""
        beams = self.beams
        at = beams.lengths[:, None, None].expand(-1, self.width, 1)
        newest = beams.tokens.gather(2, at).squeeze(2)
        return newest[:: self.beams_per_request, 0] if self.fresh else newest.flatten()

    @property
    def rows(self) -> int:
        """How many model rows these requests have now."""
        return len(self.ids) * (1 if self.fresh else self.config.num_beams)

    def advance(self, log_probs: Tensor) -> tuple[Tensor, list[Finished]]:
        """One step: (rows, V) log-probabilities -> (new rows,) parent row of each survivor; the requests now done."""
        log_probs = self._by_beam(log_probs)
        found = self._continuations(self._scores(log_probs), log_probs)
        cells = _extended(self.beams, found)
        ended = (found.token == self.eos_id) | (self.beams.lengths + 1 >= self.config.max_length)[:, None]
        self._finish(found, cells, ended)
        parents = self._survive(found, cells, ended)
        return self._leave(parents)

    def _by_beam(self, log_probs: Tensor) -> Tensor:
        """(rows, V) -> (R, k, V), where k is 1 at the first step and K later."""
        if self.fresh:
            return log_probs.repeat_interleave(self.beams_per_request, dim=0)[:, None]
        return log_probs.view(len(self.beams.lengths), self.width, -1)

    def _scores(self, log_probs: Tensor) -> Tensor:
        """The (R, k, V) log-probabilities under the score rules."""
        rows, live, _ = log_probs.shape
        beams = self.beams
        tokens = beams.tokens[:, :live].flatten(0, 1)
        lengths, contexts = (value.repeat_interleave(live, dim=0) for value in (beams.lengths, beams.contexts))
        said = Said(tokens, lengths, contexts, min(self.steps), max(self.steps))
        return self.rules(said, log_probs.flatten(0, 1), reuse=True).view(rows, live, -1)

    def _continuations(self, scores: Tensor, log_probs: Tensor) -> Continuations:
        """The 2K best continuations of each beam, best first."""
        return self._best(scores, log_probs, slice(None))

    def _best(self, scores: Tensor, log_probs: Tensor, rows: slice) -> Continuations:
        """The 2K best of (R', k, V) scores for these beams: the best 2K of each hypothesis, then the best of those."""
        beams, count = self.beams, 2 * self.width
        live = scores.shape[1]
        best, ids = top(scores, min(count, scores.shape[2]))
        total = (best + beams.scores[rows, :live, None]).flatten(1)
        score, at = total.topk(min(count, total.shape[1]), dim=1)
        beam, token = at // best.shape[2], ids.flatten(1).gather(1, at)
        raw = beams.log_probs[rows].gather(1, beam) + log_probs.flatten(1).gather(1, beam * scores.shape[2] + token)
        return padded(Continuations(beam, token, score, raw), count)

    def _finish(self, found: Continuations, cells: Tensor, ended: Tensor) -> None:
        """Merge the first K continuations that ended into the pool and keep the K best of both."""
        width, beams = self.width, self.beams
        new = ended[:, :width] & ~beams.closed[:, None] & (found.score[:, :width] > NEVER)
        if not bool(new.any()):
            return
        lengths = (beams.lengths + 1)[:, None].expand(-1, width)
        penalty = divisor(self.config.length_penalty_kind, lengths, self.config.length_penalty)
        normal = torch.where(new, found.score[:, :width] / penalty, NEVER)
        score, at = torch.cat([beams.done_scores, normal], dim=1).topk(width, dim=1)
        merged = {
            "done_scores": score,
            "done_lengths": torch.cat([beams.done_lengths, lengths], dim=1).gather(1, at),
            "done_log_probs": torch.cat([beams.done_log_probs, found.log_prob[:, :width]], dim=1).gather(1, at),
            "done_tokens": gather_rows(torch.cat([beams.done_tokens, cells[:, :width]], dim=1), at),
        }
        self.beams = replace(beams, **merged)

    def _survive(self, found: Continuations, cells: Tensor, ended: Tensor) -> Tensor:
        """Make the first K continuations that go on the live ones: (R, K) their parent rows in the model."""
        score, at = self._survivors(found.score.masked_fill(ended, NEVER))
        beam = found.beam.gather(1, at)
        dead = found.score.amax(dim=1) == NEVER
        self._save_the_last(dead)
        self.beams = replace(
            self.beams, tokens=gather_rows(cells, at), scores=score, log_probs=found.log_prob.gather(1, at),
            lengths=self.beams.lengths + 1,
        )  # fmt: skip
        self.beams = replace(self.beams, closed=self.beams.closed | self._settled() | dead)
        first = torch.arange(len(score), device=score.device)[:, None]
        return first // self.beams_per_request + 0 * beam if self.fresh else first * self.width + beam

    def _survivors(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The K best of (R, C) continuations that go on: (R, K) scores and which they are."""
        best, at = scores.topk(self.width, dim=1)
        return best, at

    def _settled(self) -> Tensor:
        """(R,) whether nothing live may still enter the pool: the three rules of transformers' ``early_stopping``."""
        beams, config = self.beams, self.config
        full = (beams.done_scores > NEVER).all(dim=1)
        lengths = beams.lengths
        if config.early_stopping == "never" and config.length_penalty > 0:
            lengths = torch.full_like(lengths, config.max_length)
        hope = beams.scores.amax(dim=1) / divisor(config.length_penalty_kind, lengths, config.length_penalty)
        hopeless = hope <= beams.done_scores.amin(dim=1)
        stop = full if config.early_stopping is True else full & hopeless
        return stop | (hope == NEVER) | (beams.lengths >= config.max_length)

    def _save_the_last(self, dead: Tensor) -> None:
        """Where no token at all is allowed and the pool is empty, the live hypotheses are the answer as they stand."""
        beams = self.beams
        stuck = dead & (beams.done_scores == NEVER).all(dim=1) & (beams.lengths > 0)
        if not bool(stuck.any()):
            return
        lengths = beams.lengths[:, None].expand(-1, self.width)
        score = beams.scores / divisor(self.config.length_penalty_kind, lengths, self.config.length_penalty)
        here = stuck[:, None]
        self.beams = replace(
            beams,
            done_scores=torch.where(here, score, beams.done_scores),
            done_lengths=torch.where(here, lengths, beams.done_lengths),
            done_log_probs=torch.where(here, beams.log_probs, beams.done_log_probs),
            done_tokens=torch.where(here[..., None], beams.tokens, beams.done_tokens),
        )

    def _leave(self, parents: Tensor) -> tuple[Tensor, list[Finished]]:
        """Answer the requests whose beams are all closed and let their rows go."""
        self.fresh = False
        self.steps = [step + 1 for step in self.steps]
        closed = self.beams.closed.view(-1, self.beams_per_request).all(dim=1).tolist()
        parents = parents.reshape(len(self.ids), -1)
        if not any(closed):
            return parents.flatten(), []
        done = [Finished(self.ids[row], self.hypotheses(row)) for row, over in enumerate(closed) if over]
        kept = [row for row, over in enumerate(closed) if not over]
        self._keep(kept)
        return parents[kept].flatten(), done

    def hypotheses(self, row: int) -> list[Hypothesis]:
        """What request number ``row`` has finished so far, best first, at most ``num_return``."""
        beams, inner = self.beams, slice(row * self.beams_per_request, (row + 1) * self.beams_per_request)
        columns = (beams.done_tokens, beams.done_lengths, beams.done_log_probs, beams.done_scores)
        found = [
            Hypothesis(tuple(tokens[1 : length + 1]), log_prob, score, tokens[length] == self.eos_id)
            for tokens, length, log_prob, score in zip(*(c[inner].flatten(0, 1).tolist() for c in columns), strict=True)
            if score > NEVER
        ]
        return sorted(found, key=lambda h: -h.score)[: self.config.num_return]

    def drop(self, row: int) -> Tensor:
        """Forget request number ``row`` at once: (rows left,) the model rows to keep."""
        kept = [other for other in range(len(self.ids)) if other != row]
        each = self.rows // len(self.ids)
        self._keep(kept)
        rows = [r * each + k for r in kept for k in range(each)]
        return torch.tensor(rows, dtype=torch.long, device=self.beams.lengths.device)

    def _keep(self, kept: Sequence[int]) -> None:
        self.ids = [self.ids[row] for row in kept]
        self.steps = [self.steps[row] for row in kept]
        inner = [row * self.beams_per_request + g for row in kept for g in range(self.beams_per_request)]
        self.beams = pick(self.beams, torch.tensor(inner, dtype=torch.long, device=self.beams.lengths.device))

    def merge(self, other: Beam) -> None:
        """Take over the requests of another beam of the same configuration; its model rows come after these."""
        self.ids, self.steps = [*self.ids, *other.ids], [*self.steps, *other.steps]
        self.beams = stack(self.beams, other.beams)


def expected_score(config: DecodingConfig, log_prob: float, length: int) -> float:
    """The score of a finished hypothesis with this summed log-probability (nats) and length (tokens)."""
    return log_prob / divisor_of(config.length_penalty_kind, length, config.length_penalty)


def _extended(beams: Beams, found: Continuations) -> Tensor:
    """(R, C, L) token rows of all continuations."""
    cells = gather_rows(beams.tokens, found.beam)
    at = (beams.lengths + 1)[:, None, None].expand(-1, found.token.shape[1], 1)
    return cells.scatter(2, at, found.token[..., None])


def gather_rows(cells: Tensor, at: Tensor) -> Tensor:
    """(R, C, L) and (R, K) -> (R, K, L)."""
    return cells.gather(1, at[..., None].expand(-1, -1, cells.shape[2]))


def padded(found: Continuations, count: int) -> Continuations:
    """Impossible continuations added on the right until there are ``count``."""
    missing = count - found.score.shape[1]
    if missing == 0:
        return found
    room = (len(found.score), missing)
    zeros, never = found.beam.new_zeros(room), found.score.new_full(room, NEVER)
    return Continuations(
        torch.cat([found.beam, zeros], dim=1), torch.cat([found.token, zeros], dim=1),
        torch.cat([found.score, never], dim=1), torch.cat([found.log_prob, never], dim=1),
    )  # fmt: skip
