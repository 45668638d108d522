"""Between values and rows: what an exchange is written as, and how a record is read back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from bot.exchange import Exchange, Reply, Source
from bot.history.keeping import numbers_in, numbers_out
from bot.history.store import Record
from bot.history.tables import CandidateRow, ExchangeRow, TurnRow, VerdictRow
from dialogue.candidates import Candidate, Hypothesis
from dialogue.turns import Role, Turn
from safety.verdict import Action, SafetyVerdict, Span

Values = dict[str, Any]


def turn_values(exchange_id: int, turn: Turn) -> Values:
    """The columns of a turn."""
    return {
        "exchange_id": exchange_id,
        "role": str(turn.role),
        "text": turn.text,
        "speaker": turn.speaker,
        "said_at": turn.said_at,
    }


def verdict_values(turn_id: int, verdict: SafetyVerdict) -> Values:
    """The columns of a verdict."""
    return {
        "turn_id": turn_id,
        "action": int(verdict.action),
        "category": verdict.category,
        "scores": numbers_out(verdict.scores),
        "threshold": _number_out(verdict.threshold),
        "detector": verdict.detector,
        "spans": [[span.start, span.end, span.kind] for span in verdict.spans],
        "reasons": list(verdict.reasons),
    }


def candidate_values(exchange_id: int, exchange: Exchange) -> list[Values]:
    """The columns of every candidate, best first."""
    return [
        {
            "exchange_id": exchange_id,
            "rank": rank,
            "text": candidate.text,
            "log_prob": _number_out(candidate.hypothesis.log_prob),
            "score": _number_out(candidate.hypothesis.score),
            "finished": candidate.hypothesis.finished,
            "features": numbers_out(candidate.features),
            "dropped_by": candidate.dropped_by,
        }
        for rank, candidate in enumerate(exchange.candidates)
    ]


def turn_of(row: TurnRow) -> Turn:
    """A turn as it was stored."""
    return Turn(Role(row.role), row.text, row.speaker, row.said_at)


def record_of(
    exchange: ExchangeRow,
    turns: Iterable[tuple[TurnRow, VerdictRow]],
    candidates: Iterable[CandidateRow],
) -> Record:
    """One exchange as it was stored; ``turns`` are its two, the one heard first."""
    (heard, verdict_in), (said, verdict_out) = turns
    reply = Reply(
        turn_of(said),
        said.id,
        Source(exchange.source),
        tuple(_candidate_of(row) for row in candidates),
        _verdict_of(verdict_in),
        _verdict_of(verdict_out),
        numbers_in(exchange.seconds),
    )
    return Record(turn_of(heard), heard.id, reply, exchange.model, exchange.persona, exchange.message_id)


def _candidate_of(row: CandidateRow) -> Candidate:
    hypothesis = Hypothesis((), _number_in(row.log_prob), _number_in(row.score), row.finished)
    return Candidate(row.text, hypothesis, numbers_in(row.features), row.dropped_by)


def _verdict_of(row: VerdictRow) -> SafetyVerdict:
    spans = tuple(Span(start, end, kind) for start, end, kind in row.spans)
    scores, reasons = numbers_in(row.scores), tuple(row.reasons)
    return SafetyVerdict(Action(row.action), row.category, scores, row.threshold, row.detector, spans, reasons)


def _number_out(value: float | None) -> float | None:
    """SQLite cannot tell NaN from NULL, so both stores write NULL."""
    return None if value is None or math.isnan(value) else value


def _number_in(value: float | None) -> float:
    return math.nan if value is None else value
