"""Diverse and delayed beam search: the same bookkeeping as beam.py, with another choice of continuations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from dialogue.decoding.beam import NEVER, Beam, Continuations, gather_rows, padded
from dialogue.decoding.randomness import uniforms
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.warpers import draw, warp, warpers_for


class DiverseBeam(Beam):
    """Vijayakumar et al. 2018, "Diverse Beam Search", algorithm 1, with Hamming diversity.

    The K hypotheses are G groups of K / G. Within a step the groups go one after another, and a token that earlier
    groups chose at this step costs ``diversity_penalty`` (nats) each time. The penalty stays in the score.
    """

    def __init__(self, config: Any, *args: Any) -> None:
        self.beams_per_request = config.num_groups
        super().__init__(config, *args)

    def _continuations(self, scores: Tensor, log_probs: Tensor) -> Continuations:
        groups, vocabulary = self.beams_per_request, scores.shape[2]
        chosen = scores.new_zeros((len(self.ids), vocabulary))
        found: list[Continuations] = []
        for group in range(groups):
            rows = slice(group, None, groups)
            penalised = scores[rows] - self.config.diversity_penalty * chosen[:, None]
            found.append(self._best(penalised, log_probs[rows], rows))
            self._count(found[-1], chosen, rows)
        fields = (("beam", "token", "score", "log_prob"), len(scores))
        return Continuations(*(_interleaved([getattr(f, name) for f in found], fields[1]) for name in fields[0]))

    def _count(self, found: Continuations, chosen: Tensor, rows: slice) -> None:
        """Add the tokens that this group goes on with; a group that is closed no longer counts."""
        going = found.score.masked_fill(found.token == self.eos_id, NEVER)
        score, at = going.topk(self.width, dim=1)
        counts = (score > NEVER) & ~self.beams.closed[rows, None]
        chosen.scatter_add_(1, found.token.gather(1, at), counts.to(chosen.dtype))


class DelayedBeam(Beam):
    """Massarelli et al. 2020, "How Decoding Strategies Affect the Verifiability of Generated Text", section 3.

    For the first ``delay_steps`` tokens each of the K hypotheses draws its own next token (temperature, top-k, …);
    from then on it is a beam search. A hypothesis that draws EOS is finished; its place is filled when the beam search
    begins. Two that draw the same first token are one.
    """

    def __init__(self, config: Any, *args: Any) -> None:
        super().__init__(config, *args)
        self.warpers = warpers_for(config)

    def _uniforms(self, requests: Sequence[DecodingRequest], room: int) -> Tensor:
        return torch.stack([uniforms(request.seed, self.width, room) for request in requests])

    def _continuations(self, scores: Tensor, log_probs: Tensor) -> Continuations:
        delay = self.config.delay_steps
        if min(self.steps) >= delay:
            return super()._continuations(scores, log_probs)
        drawn = self._drawn(scores, log_probs)
        if max(self.steps) < delay:
            return drawn
        best = super()._continuations(scores, log_probs)
        early = (self.beams.lengths < delay)[:, None]
        pairs = ((getattr(drawn, name), getattr(best, name)) for name in ("beam", "token", "score", "log_prob"))
        return Continuations(*(torch.where(early, one, other) for one, other in pairs))

    def _survivors(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """As in beam search; each hypothesis takes its random numbers along when places change."""
        best, at = super()._survivors(scores)
        self.beams = replace(self.beams, uniforms=gather_rows(self.beams.uniforms, at.clamp(max=self.width - 1)))
        return best, at

    def _drawn(self, scores: Tensor, log_probs: Tensor) -> Continuations:
        """One drawn continuation per hypothesis; the other half of the 2K stays impossible."""
        rows, live, _ = scores.shape
        scores, log_probs = scores.expand(-1, self.width, -1), log_probs.expand(-1, self.width, -1)
        at = self.beams.lengths[:, None, None].expand(-1, self.width, 1)
        numbers = self.beams.uniforms.gather(2, at).flatten()
        token = draw(warp(scores.flatten(0, 1), self.warpers), numbers).view(rows, self.width)
        beam = torch.arange(self.width, device=token.device).expand(rows, -1) % live
        score = self.beams.scores + scores.gather(2, token[..., None]).squeeze(2)
        if live < self.width:
            score = score.masked_fill(_seen_before(token), NEVER)
        raw = self.beams.log_probs + log_probs.gather(2, token[..., None]).squeeze(2)
        return padded(Continuations(beam, token, score, raw), 2 * self.width)


def _seen_before(token: Tensor) -> Tensor:
    """(R, K) whether a column further left holds the same token."""
    return (token[:, :, None] == token[:, None, :]).tril(-1).any(dim=2)


def _interleaved(groups: list[Tensor], rows: int) -> Tensor:
    """G tensors of (requests, C) -> (requests * G, C), the groups of one request together."""
    return torch.stack(groups, dim=1).reshape(rows, -1)
