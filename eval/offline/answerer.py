"""Answers and scores items with one loaded model: what a run does itself, and what each of its workers does.

Replies go through the responder that people's messages go through. Which process this runs in is runner.py's business.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bot.batch import Output, answer_all
from bot.bootstrap import open_responder
from bot.responder import Responder
from bot.settings import Settings, load_settings
from dialogue.decoding.config import DecodingConfig
from dialogue.models.chat_model import ChatModel
from eval.offline.items import Item, persona_named
from safety.filter import SafetyFilter

TIMEOUT_S = 3600.0
"""Nobody waits for an evaluation's reply: only a model that hangs runs out of this."""


@dataclass(frozen=True, slots=True)
class Work:
    """How to answer and score, the same in every process. ``settings`` override the environment's."""

    settings: Mapping[str, Any]
    persona: str
    preset: str | None
    seed: int
    score: int
    pmi: bool
    decoding: Mapping[str, Any]

    def config(self, responder: Responder) -> DecodingConfig:
        """The decoding asked for: preset or the model's own, changed by single settings."""
        config = responder.decoding(self.preset, self.seed)
        return config.with_(**self.decoding) if self.decoding else config

    def loaded(self) -> Settings:
        """The settings, checked."""
        return load_settings(**self.settings)


class Answerer:
    """A responder and what is asked of it."""

    def __init__(self, responder: Responder, work: Work) -> None:
        self.responder, self.work = responder, work
        self.model: ChatModel = responder.model
        self.settings = work.loaded()
        self._persona = persona_named(work.persona)

    def made_by(self) -> dict[str, Any]:
        """What results depend on beside the items."""
        return {
            "model": self.model.name,
            "fingerprint": self.model.fingerprint,
            "decoding": json.loads(json.dumps(asdict(replace(self.work.config(self.responder), seed=None)))),
            "preset": self.work.preset or "",
            "persona": self.work.persona,
            "seed": self.work.seed,
            "languages": sorted(self.model.languages),
        }

    async def answer(self, items: Sequence[Item], start: int, out: Output, on_answer: Callable[[], None]) -> None:
        """Answer items that begin at place ``start`` of the run into ``out``; seeds go by place."""
        await answer_all(
            [item.row(self._persona) for item in items], self.responder, self.work.config(self.responder), out,
            seed=self.work.seed + start,
            at_once=min(2 * self.settings.max_batch, self.settings.max_queue),
            timeout_s=TIMEOUT_S, on_answer=lambda row, reply: on_answer(),
        )  # fmt: skip

    async def answer_chunk(self, items: Sequence[Item], start: int) -> list[str]:
        """The lines of a chunk's replies."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "replies.jsonl"
            await self.answer(items, start, Output(path, {"start": start}), lambda: None)
            return path.read_text(encoding="utf-8").splitlines(keepends=True)

    def score_chunk(self, items: Sequence[Item]) -> list[str]:
        """The lines of a chunk's likelihoods: human answers, and wrong ones where an item has them."""
        from eval.offline.likelihood import Question, likelihoods

        questions: list[Question] = []
        spans: list[tuple[int, int]] = []
        for item in items:
            references = item.references if self.work.score < 0 else item.references[: self.work.score]
            persona = item.row(self._persona).persona
            questions += [Question(item.context, reply, persona) for reply in (*references, *item.negatives)]
            spans.append((len(references), len(item.negatives)))
        alone = self.work.pmi and any(item.negatives for item in items)
        found = iter(likelihoods(self.model, questions, alone=alone))
        lines: list[str] = []
        for item, (good, bad) in zip(items, spans, strict=True):
            record = {
                "id": item.id,
                "references": [next(found).as_dict() for _ in range(good)],
                "negatives": [next(found).as_dict() for _ in range(bad)],
            }
            lines.append(json.dumps(record, ensure_ascii=False) + "\n")
        return lines


@asynccontextmanager
async def open_answerer(work: Work, on_progress: Callable[[str], None] = lambda line: None) -> AsyncIterator[Answerer]:
    """Load the model the work names; leaving closes it."""
    async with open_responder(work.loaded(), on_progress) as responder:
        unhurried(responder)
        yield Answerer(responder, work)


def unhurried(responder: Responder) -> None:
    """Let the safety filter take its time: on a busy machine a skipped detector would change what is measured."""
    responder.safety = SafetyFilter(responder.safety.detectors, responder.safety.policy, budget_s=TIMEOUT_S)
