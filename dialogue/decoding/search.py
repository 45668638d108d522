"""The one search loop. Streaming is the primitive: requests join and leave between steps; a batch is built on it.

The loop owns the model's rows, the searches (beam.py, sampling.py) own the bookkeeping and never see the model::

    admit: encode the newcomers, one row each
    step:  last tokens -> model -> log-probabilities -> each search: parents of its survivors -> model follows them
           newcomers take their first step on their own, then join the rest

Requests of one configuration share tensors; a request's answer never depends on who else is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(slots=True)
class _Batch:
    """A model state and the searches that its rows belong to: ``rows`` holds each search's row numbers in the state."""

    state: DecoderState
    searches: dict[Kind, Search]
    rows: dict[Kind, Tensor]


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
        self._batches: list[_Batch] = []  # the live one first, then newcomers that have no token yet

    @property
    def live(self) -> tuple[int, ...]:
        """The ids of all requests that are not finished."""
        return tuple(i for batch in self._batches for search in batch.searches.values() for i in search.ids)

    @property
    def live_rows(self) -> int:
        """How many rows the model has to work on now."""
        return sum(search.rows for batch in self._batches for search in batch.searches.values())

    @property
    def progress(self) -> dict[int, int]:
        """The number of tokens that each live request has so far."""
        searches = [search for batch in self._batches for search in batch.searches.values()]
        return {i: steps for search in searches for i, steps in zip(search.ids, search.steps, strict=True)}

    @property
    def can_admit(self) -> bool:
        """Whether newcomers may join now: always when nothing is live, else if the model can join rows."""
        return not self._batches or isinstance(self.model, JoinableSeq2Seq)

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
        self._batches.append(self._encoded(kinds))

    def _encoded(self, kinds: Mapping[Kind, Sequence[DecodingRequest]]) -> _Batch:
        ordered = [request for members in kinds.values() for request in members]
        ids = rectangle([tuple(request.input_ids) for request in ordered], self.device, self.pad_id)
        lengths = torch.tensor([len(request.input_ids) for request in ordered], device=self.device)
        mask = (torch.arange(ids.shape[1], device=self.device) < lengths[:, None]).long()
        searches = {kind: self._search(kind, members) for kind, members in kinds.items()}
        return _Batch(self.model.encode(ids, mask), searches, _contiguous(searches, self.device))

    def _search(self, kind: Kind, members: Sequence[DecodingRequest]) -> Search:
        config, banned = kind
        rules = rules_for(config, self.eos_id, banned)
        one = config.strategy is Strategy.BEAM and config.num_beams == 1
        build = Sampler if one else _BEAMS.get(config.strategy, Sampler)
        return build(config, members, rules, self.start_id, self.eos_id, self.device)

    @torch.inference_mode()
    def step(self) -> list[Finished]:
        """One token for every live request; returns those that are done, whose rows have left the batch."""
        done = [finished for batch in self._batches for finished in self._advance(batch)]
        self._batches = [batch for batch in self._batches if batch.searches]
        while len(self._batches) > 1:
            self._join(self._batches[0], self._batches.pop(1))
        if self.on_step is not None:
            self.on_step(self.progress)
        return done

    def _advance(self, batch: _Batch) -> list[Finished]:
        """A step of the model and of all searches of a batch; afterwards each search's rows lie together."""
        rows = torch.cat([batch.rows[kind] for kind in batch.searches])
        last = torch.cat([search.last_ids for search in batch.searches.values()])
        if not _in_order(rows):
            last = torch.empty_like(last).scatter_(0, rows, last)
        log_probs, batch.state = self.model.step(last, batch.state)
        parents, done = [], []
        for kind, search in batch.searches.items():
            mine = batch.rows[kind]
            own = log_probs if len(mine) == len(log_probs) and _in_order(mine) else log_probs.index_select(0, mine)
            survivors, finished = search.advance(own)
            parents.append(mine[survivors])
            done += finished
        self._follow(batch, torch.cat(parents), len(log_probs))
        return done

    def _follow(self, batch: _Batch, parents: Tensor, before: int) -> None:
        """Let the model's rows follow the survivors, where they are not the same rows already."""
        batch.searches = {kind: search for kind, search in batch.searches.items() if search.ids}
        batch.rows = _contiguous(batch.searches, self.device)
        if batch.searches and not (len(parents) == before and _in_order(parents)):
            batch.state = self.model.reorder(batch.state, parents)

    def _join(self, live: _Batch, new: _Batch) -> None:
        """Put the rows of ``new`` after those of ``live``; searches of one kind become one."""
        offset = sum(search.rows for search in live.searches.values())
        live.state = cast(JoinableSeq2Seq, self.model).join(live.state, new.state)
        for kind, search in new.searches.items():
            rows = new.rows[kind] + offset
            if kind in live.searches:
                live.searches[kind].merge(search)  # type: ignore[arg-type]
                live.rows[kind] = torch.cat([live.rows[kind], rows])
            else:
                live.searches[kind], live.rows[kind] = search, rows

    @torch.inference_mode()
    def drop(self, request_id: int) -> bool:
        """Forget a request; its rows leave at once, the others go on unchanged. False if it is not live (any more)."""
        for batch in self._batches:
            for kind, search in batch.searches.items():
                if request_id in search.ids:
                    before = sum(other.rows for other in batch.searches.values())
                    kept = {other: rows for other, rows in batch.rows.items() if other != kind}
                    kept[kind] = batch.rows[kind][search.drop(search.ids.index(request_id))]
                    self._follow(batch, torch.cat([kept[other] for other in batch.searches]), before)
                    self._batches = [each for each in self._batches if each.searches]
                    return True
        return False


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


def _contiguous(searches: Mapping[Kind, Search], device: torch.device) -> dict[Kind, Tensor]:
    """Row numbers when the rows of each search lie together, in the order of the searches."""
    sizes = [search.rows for search in searches.values()]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    spans = [torch.arange(start, start + size, device=device) for start, size in zip(starts, sizes, strict=True)]
    return dict(zip(searches, spans, strict=True))


def _in_order(rows: Tensor) -> bool:
    """Whether the row numbers are 0, 1, 2, …"""
    return bool((rows == torch.arange(len(rows), device=rows.device)).all())
