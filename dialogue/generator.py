"""Contexts in, ranked candidates out: the synchronous owner of a model. One thread calls it, never two.

The generator knows tokens and texts; it knows nothing about queues, deadlines (batcher.py) or safety.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch

from dialogue.candidates import Candidate, Hypothesis
from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.search import Decoder, DecodingRequest, mean_log_prob
from dialogue.models.chat_model import ChatModel
from dialogue.rerank import rerank
from dialogue.turns import Conversation


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation whose last turn wants an answer, and how to decode it."""

    conversation: Conversation
    config: DecodingConfig


@dataclass(slots=True)
class _Row:
    """What the generator remembers of a request while the decoder works on it."""

    request: GenerationRequest
    input_ids: list[int]
    tokens: int = field(default=0)


class Generator:
    """Keeps one live batch: requests enter between steps and leave as soon as they are finished."""

    def __init__(self, model: ChatModel, *, max_rows: int = 256) -> None:
        """``max_rows`` bounds hypotheses (conversations x beams) in one batch, which bounds memory."""
        self.model = model
        self._max_rows = max_rows
        self._rows: dict[int, _Row] = {}
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> Decoder:
        model = self.model
        return Decoder(model.seq2seq, start_id=model.start_id, eos_id=model.eos_id, pad_id=model.pad_id)

    @property
    def live(self) -> int:
        """Requests being decoded now."""
        return len(self._rows)

    def has_room(self, requests: Sequence[GenerationRequest]) -> bool:
        """Whether these requests may join the live batch together now; one alone always may when nothing is live."""
        if not self._rows and len(requests) == 1:
            return True
        widths = [_width(request.config) for request in (*requests, *(row.request for row in self._rows.values()))]
        return sum(widths) <= self._max_rows and (not self._rows or self._decoder.can_admit)

    @torch.inference_mode()
    def admit(self, requests: dict[int, GenerationRequest]) -> None:
        """Encode the requests, each under an id of the caller's choice, and join them to the live batch."""
        rows = {ticket: _Row(request, self._context_ids(request)) for ticket, request in requests.items()}
        self._decoder.admit([self._decoding_request(ticket, row) for ticket, row in rows.items()])
        self._rows.update(rows)

    @torch.inference_mode()
    def step(self) -> dict[int, list[Candidate]]:
        """Advance every live request by one token; the finished ones with their candidates, best first."""
        finished = self._decoder.step()
        for row in self._rows.values():
            row.tokens += 1
        return {done.id: self._candidates(self._rows.pop(done.id), done.hypotheses) for done in finished}

    def tokens(self, ticket: int) -> int:
        """How many tokens a live request has been decoded so far."""
        return self._rows[ticket].tokens

    def drop(self, ticket: int) -> None:
        """Stop working on a request; the others do not notice."""
        if self._rows.pop(ticket, None) is not None:
            self._decoder.drop(ticket)

    def reset(self) -> None:
        """Forget the live batch: what to do after the model failed on it."""
        self._rows.clear()
        self._decoder = self._new_decoder()

    def generate(
        self, requests: Sequence[GenerationRequest], on_done: Callable[[int], None] = lambda index: None
    ) -> list[list[Candidate]]:
        """All requests to their end, in batches; ``on_done`` hears the index of each one finished."""
        results: list[list[Candidate]] = [[] for _ in requests]
        waiting = deque(enumerate(requests))
        while waiting or self._rows:
            entering: dict[int, GenerationRequest] = {}
            while waiting and self.has_room([*entering.values(), waiting[0][1]]):
                entering.update([waiting.popleft()])
            if entering:
                self.admit(entering)
            for index, candidates in self.step().items():
                results[index] = candidates
                on_done(index)
        return results

    def _context_ids(self, request: GenerationRequest) -> list[int]:
        ids = self.model.context_format.encode(request.conversation, self.model.max_context)
        return ids or [self.model.eos_id]

    def _decoding_request(self, ticket: int, row: _Row) -> DecodingRequest:
        config = row.request.config
        banned = [
            self.model.vocabulary.encode(form) for phrase in config.blocked_phrases for form in (phrase, f" {phrase}")
        ]
        limited = replace(config, max_length=min(config.max_length, self.model.max_reply))
        return DecodingRequest(
            id=ticket, input_ids=row.input_ids, config=limited, banned=tuple(tuple(ids) for ids in banned)
        )

    def _candidates(self, row: _Row, hypotheses: Sequence[Hypothesis]) -> list[Candidate]:
        """Hypotheses as texts, in the order of the re-ranker."""
        texts = [self.model.vocabulary.decode(hypothesis.token_ids).strip() for hypothesis in hypotheses]
        found = [Candidate(text, hypothesis) for text, hypothesis in zip(texts, hypotheses, strict=True)]
        return rerank(found, row.request.conversation, row.request.config, scorer=self._unconditional)

    def _unconditional(self, candidates: Sequence[Candidate], conversation: Conversation) -> list[float]:
        """log p(r) per token without the talk before it, in nats: the part that PMI takes away (Li et al. 2016)."""
        bare = replace(conversation, turns=())
        context = self.model.context_format.encode(bare, self.model.max_context) or [self.model.eos_id]
        return mean_log_prob(self.model, context, [candidate.hypothesis.token_ids for candidate in candidates])


def _width(config: DecodingConfig) -> int:
    """Hypotheses that a request keeps alive at once."""
    return max(config.num_beams, config.samples)
