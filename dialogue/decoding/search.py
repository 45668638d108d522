"""The one search loop. Streaming is the primitive: requests join and leave between steps; a batch is built on it.

The loop owns the model's rows, the searches (beam.py, sampling.py) own the bookkeeping and never see the model::

    admit: encode the newcomers, one row each, and put them beside the rest
    step:  last tokens -> model -> log-probabilities -> each search: parents of its survivors -> model follows them

Requests of one configuration share tensors; a request's answer never depends on who else is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor

from dialogue.candidates import Hypothesis
from dialogue.decoding.beam import Beam
from dialogue.decoding.beam_variants import DelayedBeam, DiverseBeam
from dialogue.decoding.config import DecodingConfig, Strategy
from dialogue.decoding.constraints import rules_for
from dialogue.decoding.protocol import DecoderState, JoinableSeq2Seq, Seq2Seq
from dialogue.decoding.request import DecodingRequest, Finished
from dialogue.decoding.sampling import Sampler
from dialogue.decoding.scoring import mean_log_prob
from dialogue.decoding.tables import rectangle

__all__ = ["Decoder", "DecodingRequest", "Finished", "decode", "mean_log_prob"]

Search = Beam | Sampler
Kind = tuple[DecodingConfig, tuple[tuple[int, ...], ...]]
"""What requests must have in common to share a search: the configuration but for its seed, and the banned phrases."""

_BEAMS: Mapping[Strategy, type[Beam]] = {
    Strategy.BEAM: Beam,
    Strategy.DIVERSE_BEAM: DiverseBeam,
    Strategy.DELAYED_BEAM: DelayedBeam,
}


class Decoder:
    """A live batch of requests over one model. Not thread-safe: one thread owns a decoder.

    ``on_step`` is called after every step with the tokens each live request has so far.
    """

    def __init__(
        self,
        model: Seq2Seq,
        *,
        start_id: int,
        eos_id: int,
        pad_id: int,
        device: torch.device | str = "cpu",
        on_step: Callable[[Mapping[int, int]], None] | None = None,
    ) -> None:
        self.model, self.start_id, self.eos_id, self.pad_id = model, start_id, eos_id, pad_id
        self.device, self.on_step = torch.device(device), on_step
        self._state: DecoderState = None
        self._searches: list[tuple[Kind, Search]] = []  # each has its rows of the state in one piece, in this order

    @property
    def live(self) -> tuple[int, ...]:
        """The ids of all requests that are not finished."""
        return tuple(i for _, search in self._searches for i in search.ids)

    @property
    def live_rows(self) -> int:
        """How many rows the model has to work on now."""
        return sum(search.rows for _, search in self._searches)

    @property
    def progress(self) -> dict[int, int]:
        """The number of tokens that each live request has so far."""
        return {i: steps for _, search in self._searches for i, steps in zip(search.ids, search.steps, strict=True)}

    @property
    def can_admit(self) -> bool:
        """Whether newcomers may join now: always when nothing is live, else if the model can join rows."""
        return not self._searches or isinstance(self.model, JoinableSeq2Seq)

    @torch.inference_mode()
    def admit(self, requests: Sequence[DecodingRequest]) -> None:
        """Encode newcomers; they take part from the next step on. ValueError if they cannot or an id is taken."""
        if not requests:
            return
        if not self.can_admit:
            raise ValueError("this model cannot take newcomers into a live batch; wait until it is empty (can_admit)")
        ids = [*self.live, *(request.id for request in requests)]
        if len(set(ids)) < len(ids):
            raise ValueError("every live request needs an id of its own")
        kinds: dict[Kind, list[DecodingRequest]] = {}
        for request in requests:
            kinds.setdefault(_kind(request), []).append(request)
        state = self._encoded([request for members in kinds.values() for request in members])
        searches = [(kind, self._search(kind, members)) for kind, members in kinds.items()]
        self._state = cast(JoinableSeq2Seq, self.model).join(self._state, state) if self._searches else state
        self._searches += searches

    def _encoded(self, requests: Sequence[DecodingRequest]) -> DecoderState:
        ids = rectangle([tuple(request.input_ids) for request in requests], self.device, self.pad_id)
        lengths = torch.tensor([len(request.input_ids) for request in requests], device=self.device)
        mask = (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()
        return self.model.encode(ids, mask)

    def _search(self, kind: Kind, members: Sequence[DecodingRequest]) -> Search:
        config, banned = kind
        rules = rules_for(config, self.eos_id, banned)
        one = config.strategy is Strategy.BEAM and config.num_beams == 1
        build = Sampler if one else _BEAMS.get(config.strategy, Sampler)
        return build(config, members, rules, self.start_id, self.eos_id, self.device)

    @torch.inference_mode()
    def step(self) -> list[Finished]:
        """One token for every live request; returns those that are done, whose rows have left the batch."""
        done = self._advance() if self._searches else []
        if self.on_step is not None:
            self.on_step(self.progress)
        return done

    def _advance(self) -> list[Finished]:
        """A step of the model and of all searches; afterwards those of one kind, newcomers' too, are one."""
        last = torch.cat([search.last_ids for _, search in self._searches])
        log_probs, self._state = self.model.step(last, self._state)
        parents: dict[Kind, list[Tensor]] = {}
        merged: dict[Kind, Search] = {}
        done, first = [], 0
        for kind, search in self._searches:
            size = search.rows
            survivors, finished = search.advance(log_probs[first : first + size])
            done += finished
            if search.ids:
                parents.setdefault(kind, []).append(survivors + first)
                merged[kind] = _merged(merged.get(kind), search)
            first += size
        self._searches = list(merged.items())
        self._follow([rows for several in parents.values() for rows in several], first)
        return done

    def _follow(self, parents: Sequence[Tensor], before: int) -> None:
        """Let the model's rows follow the survivors, where they are not the same rows already."""
        if not self._searches:
            self._state = None
            return
        rows = torch.cat(list(parents))
        if not (len(rows) == before and _in_order(rows)):
            self._state = self.model.reorder(self._state, rows)

    @torch.inference_mode()
    def drop(self, request_id: int) -> bool:
        """Forget a request; its rows leave at once, the others go on unchanged. False if it is not live (any more)."""
        if request_id not in self.live:
            return False
        kept, first = [], 0
        for _, search in self._searches:
            size = search.rows
            rows = torch.arange(size, device=self.device)
            if request_id in search.ids:
                rows = search.drop(search.ids.index(request_id))
            kept.append(rows + first)
            first += size
        self._searches = [(kind, search) for kind, search in self._searches if search.ids]
        self._follow(kept, first)
        return True


def decode(
    model: Seq2Seq,
    requests: Sequence[DecodingRequest],
    *,
    start_id: int,
    eos_id: int,
    pad_id: int,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """Answer a static batch: the hypotheses of each request, best first, in the order of the requests."""
    decoder = Decoder(model, start_id=start_id, eos_id=eos_id, pad_id=pad_id, device=device)
    decoder.admit(requests)
    answers: dict[int, list[Hypothesis]] = {}
    while decoder.live:
        answers.update({finished.id: finished.hypotheses for finished in decoder.step()})
    return [answers[request.id] for request in requests]


def _kind(request: DecodingRequest) -> Kind:
    return replace(request.config, seed=None), request.banned


def _merged(first: Search | None, second: Search) -> Search:
    """Both as one; they are of one kind and have their first step behind them."""
    if first is None:
        return second
    first.merge(second)  # type: ignore[arg-type]
    return first


def _in_order(rows: Tensor) -> bool:
    """Whether the row numbers are 0, 1, 2, …"""
    return bool((rows == torch.arange(len(rows), device=rows.device)).all())
