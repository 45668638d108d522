"""Steps 4 to 9 of a message's path: from a conversation to the words that may be said. No history, no locks.

The chat engine and the batch command both answer through this.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from bot.admission import Admission, Neighbours
from bot.exchange import Source
from bot.language import SORRY, detect_language
from dialogue.batcher import Batcher
from dialogue.candidates import Candidate
from dialogue.decoding.config import DecodingConfig, preset
from dialogue.errors import DeadlineExceeded, ModelError
from dialogue.generator import GenerationRequest
from dialogue.models.chat_model import ChatModel
from dialogue.turns import Conversation, Role, Turn
from safety.filter import SafetyFilter
from safety.responses import crisis_response, deflection, fallback, pointer
from safety.verdict import ALLOW, Action, SafetyVerdict


@dataclass(frozen=True, slots=True)
class Answer:
    """What will be said and how it came about; ``candidates`` keep every one considered, with what dropped it."""

    text: str
    source: Source
    candidates: tuple[Candidate, ...] = ()
    verdict_in: SafetyVerdict = ALLOW
    verdict_out: SafetyVerdict = ALLOW


@dataclass(slots=True)
class Stopwatch:
    """Seconds by stage; stages never overlap."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Add seconds to a stage."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class Responder:
    """Answers one conversation whose last turn is a person's."""

    def __init__(self, model: ChatModel, batcher: Batcher, safety: SafetyFilter) -> None:
        self.model = model
        self.safety = safety
        self._batcher = batcher
        self.admission = Admission()

    @property
    def batcher(self) -> Batcher:
        """The queue before the model: how many wait, how many are decoded, whether its thread lives."""
        return self._batcher

    def decoding(self, preset_name: str | None, seed: int | None) -> DecodingConfig:
        """The named preset, or the model's own defaults, with a seed: a fresh one where none is asked for."""
        config = preset(preset_name) if preset_name else self.model.defaults
        return replace(config, seed=secrets.randbits(31) if seed is None else seed)

    async def respond(
        self,
        conversation: Conversation,
        config: DecodingConfig,
        *,
        deadline: float,
        watch: Stopwatch,
        levels: Mapping[str, str] | None = None,
        refuse_late: bool = False,
        on_step: Callable[[int], None] = lambda tokens: None,
    ) -> Answer:
        """The answer; a model that fails or runs out of time is answered for by a fallback line.

        ``levels`` are safety levels by category that hold in this place instead of the policy's.

        Raises Overloaded when the queue is full and, with ``refuse_late``, WaitTooLong when the answer would come after
        the deadline: then nothing was said, and nothing is to be stored.
        """
        heard, so_far = conversation.turns[-1], replace(conversation, turns=conversation.turns[:-1])
        with watch.stage("hear"):
            safety = self._safety_at(levels)
            verdict_in = safety.hear(heard, so_far)
            settled = self._without_model(verdict_in, conversation)
        if settled is not None:
            return settled
        if refuse_late:
            self.admission.check(self._batcher.waiting, deadline)
        neighbours = Neighbours(lambda: self._batcher.live, on_step)
        try:
            request = GenerationRequest(conversation, config)
            generated = await self._batcher.submit(request, deadline=deadline, on_step=neighbours.step)
        except (ModelError, DeadlineExceeded):
            return Answer(fallback(conversation), Source.FALLBACK, verdict_in=verdict_in)
        self.admission.learn(generated.decode_s, neighbours.mean)
        watch.add("queue", generated.queue_s)
        watch.add("decode", generated.decode_s)
        with watch.stage("choose"):
            return self._choose(generated.candidates, conversation, verdict_in, safety)

    def _safety_at(self, levels: Mapping[str, str] | None) -> SafetyFilter:
        """The filter with other levels; UnknownName for a category or level that does not exist."""
        if not levels:
            return self.safety
        there = SafetyFilter(self.safety.detectors, self.safety.policy.with_levels(levels))
        there.failures = self.safety.failures
        return there

    def _without_model(self, verdict: SafetyVerdict, conversation: Conversation) -> Answer | None:
        """An answer that needs no model: help in a crisis, a deflection, an honest word about languages."""
        if verdict.action is Action.CRISIS:
            return Answer(crisis_response(conversation, verdict), Source.CRISIS, verdict_in=verdict)
        if not verdict.allows:
            return Answer(deflection(conversation, verdict), Source.DEFLECTION, verdict_in=verdict)
        language = detect_language(conversation.turns[-1].text)
        if language and language not in self.model.languages:
            line = f"{SORRY.get(language, SORRY['en'])} {pointer(conversation, verdict, language)}".strip()
            return Answer(line, Source.LANGUAGE, verdict_in=verdict)
        return None

    def _choose(
        self, candidates: list[Candidate], conversation: Conversation, verdict_in: SafetyVerdict, safety: SafetyFilter
    ) -> Answer:
        """The first candidate that safety allows; a canned line only when none is."""
        seen: list[Candidate] = []
        refused: SafetyVerdict = ALLOW
        for place, candidate in enumerate(candidates):
            if candidate.dropped_by:
                seen.append(candidate)
                continue
            verdict = safety.say(Turn(Role.BOT, candidate.text), conversation)
            if verdict.allows:
                considered = (*seen, *candidates[place:])
                text = self.safety.mask(candidate.text) if verdict.action is Action.MASK else candidate.text
                return Answer(text, Source.MODEL, considered, verdict_in, verdict)
            seen.append(replace(candidate, dropped_by=f"safety:{verdict.category}"))
            refused = refused.stricter(verdict)
        line = deflection(conversation, refused) if refused.category else fallback(conversation)
        return Answer(line, Source.FALLBACK, tuple(seen), verdict_in, refused)
