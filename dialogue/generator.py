"""Contexts in, ranked candidates out: the synchronous owner of a model. One thread calls it, never two.

The generator knows tokens and texts; it knows nothing about queues, deadlines (batcher.py) or safety.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from dialogue.candidates import Candidate, Hypothesis
from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.scoring import has_judge, judge
from dialogue.decoding.search import Decoder, DecodingRequest, mean_log_prob
from dialogue.models.chat_model import ChatModel
from dialogue.rerank import rerank
from dialogue.turns import Conversation

_WHOLE_SENTENCES = re.compile(r".+[.!?…。？！]+[\"'”’)]*(?=\s|$)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A conversation whose last turn wants an answer, and how to decode it."""

    conversation: Conversation
    config: DecodingConfig


class Generator:
    """Keeps one live batch: requests enter between steps and leave as soon as they are finished."""

    def __init__(self, model: ChatModel, *, max_rows: int = 256) -> None:
        """``max_rows`` bounds hypotheses (conversations x beams) in one batch, which bounds memory."""
        self.model = model
        self._max_rows = max_rows
        self._requests: dict[int, GenerationRequest] = {}
        self._decoder = self._new_decoder()

    def _new_decoder(self) -> Decoder:
        model = self.model
        return Decoder(model.seq2seq, start_id=model.start_id, eos_id=model.eos_id, pad_id=model.pad_id)

    @property
    def live(self) -> int:
        """Requests being decoded now."""
        return len(self._requests)

    def has_room(self, requests: Sequence[GenerationRequest]) -> bool:
        """Whether these requests may join the live batch together now; one alone always may when nothing is live."""
        if not self._requests:
            return len(requests) == 1 or sum(_width(request) for request in requests) <= self._max_rows
        together = [*requests, *self._requests.values()]
        return self._decoder.can_admit and sum(_width(request) for request in together) <= self._max_rows

    @torch.inference_mode()
    def admit(self, requests: Mapping[int, GenerationRequest]) -> None:
        """Encode the requests, each under an id of the caller's choice, and join them to the live batch."""
        self._decoder.admit([self._for_decoder(ticket, request) for ticket, request in requests.items()])
        self._requests.update(requests)

    @torch.inference_mode()
    def step(self) -> dict[int, list[Candidate]]:
        """Advance every live request by one token; the finished ones with their candidates, best first."""
        finished = self._decoder.step()
        return {done.id: self._candidates(self._requests.pop(done.id), done.hypotheses) for done in finished}

    def progress(self) -> Mapping[int, int]:
        """How many tokens each live request has so far."""
        return self._decoder.progress

    def drop(self, ticket: int) -> None:
        """Stop working on a request; the others do not notice."""
        if self._requests.pop(ticket, None) is not None:
            self._decoder.drop(ticket)

    def reset(self) -> None:
        """Forget the live batch: what to do after the model failed on it."""
        self._requests.clear()
        self._decoder = self._new_decoder()

    def generate(
        self, requests: Sequence[GenerationRequest], on_done: Callable[[int], None] = lambda index: None
    ) -> list[list[Candidate]]:
        """All requests to their end, in batches; ``on_done`` hears the index of each one finished."""
        results: list[list[Candidate]] = [[] for _ in requests]
        waiting = deque(enumerate(requests))
        while waiting or self._requests:
            entering: dict[int, GenerationRequest] = {}
            while waiting and self.has_room([*entering.values(), waiting[0][1]]):
                entering.update([waiting.popleft()])
            if entering:
                self.admit(entering)
            for index, candidates in self.step().items():
                results[index] = candidates
                on_done(index)
        return results

    def _for_decoder(self, ticket: int, request: GenerationRequest) -> DecodingRequest:
        config, vocabulary = request.config, self.model.vocabulary
        forms = {form for phrase in config.blocked_phrases for form in (phrase, f" {phrase}")}
        return DecodingRequest(
            id=ticket,
            input_ids=self._context(request.conversation),
            config=replace(config, max_length=min(config.max_length, self.model.max_reply)),
            banned=tuple(sorted(tuple(vocabulary.encode(form)) for form in forms)),
        )

    def _context(self, conversation: Conversation) -> list[int]:
        """The ids of a conversation; a model that is told nothing at all reads one end-of-text."""
        return self.model.context_format.encode(conversation, self.model.max_context) or [self.model.eos_id]

    def _candidates(self, request: GenerationRequest, hypotheses: Sequence[Hypothesis]) -> list[Candidate]:
        """Hypotheses as texts, in the order of the re-ranker."""
        found = [Candidate(self._text(each), each) for each in hypotheses]
        judge_them = self._judged if has_judge(self.model.seq2seq) else None
        return rerank(found, request.conversation, request.config, scorer=self._alone, judge=judge_them)

    def _text(self, hypothesis: Hypothesis) -> str:
        """What would be said: a hypothesis that the maximum length cut off ends with its last whole sentence."""
        text = self.model.vocabulary.decode(hypothesis.token_ids).strip()
        whole = None if hypothesis.finished else _WHOLE_SENTENCES.match(text)
        return whole[0] if whole else text

    def _alone(self, candidates: Sequence[Candidate], conversation: Conversation) -> list[float]:
        """log p(reply) per token without the talk before it, in nats: what PMI takes away."""
        context = self._context(replace(conversation, turns=()))
        return mean_log_prob(self.model, context, [each.hypothesis.token_ids for each in candidates])

    def _judged(self, candidates: Sequence[Candidate], conversation: Conversation) -> list[float]:
        """How good the model's own judge finds what each candidate would say."""
        encode = self.model.vocabulary.encode
        said = [c.hypothesis.token_ids if c.hypothesis.finished else encode(c.text) for c in candidates]
        return judge(self.model, self._context(conversation), said)


def _width(request: GenerationRequest) -> int:
    """Hypotheses that a request keeps alive at once."""
    return max(request.config.num_beams, request.config.samples)
