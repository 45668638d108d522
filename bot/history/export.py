"""What a person gets when they ask for everything stored about them: plain JSON values, the same from every store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bot.exchange import Export
from bot.history.keeping import numbers_out
from bot.history.store import Given, Record
from dialogue.candidates import Candidate
from dialogue.turns import ConversationKey, Turn
from safety.verdict import SafetyVerdict

FORMAT = 1
"""Raised when the shape of an export changes."""


def exported(
    door: str,
    said: Iterable[tuple[ConversationKey, Record]],
    given: Iterable[Given],
    settings: Mapping[str, Any],
) -> Export:
    """One document: conversations with their exchanges oldest first, ratings given, settings."""
    conversations: dict[ConversationKey, list[dict[str, Any]]] = {}
    for key, record in said:
        conversations.setdefault(key, []).append(_exchange(record))
    places = [
        {"door": key.door, "place": key.place, "exchanges": exchanges} for key, exchanges in conversations.items()
    ]
    data = {
        "format": FORMAT,
        "door": door,
        "conversations": places,
        "ratings": [_rating(one) for one in given],
        "settings": dict(settings),
    }
    return Export(data)


def _exchange(record: Record) -> dict[str, Any]:
    return {
        "you": _turn(record.heard_id, record.heard),
        "bot": _turn(record.reply.turn_id, record.reply.turn),
        "message_id": record.message_id,
        "source": str(record.reply.source),
        "model": record.model,
        "persona": record.persona,
        "safety": {"heard": _verdict(record.reply.verdict_in), "said": _verdict(record.reply.verdict_out)},
        "candidates": [_candidate(candidate) for candidate in record.reply.candidates],
        "seconds": numbers_out(record.reply.seconds),
    }


def _turn(turn_id: int, turn: Turn) -> dict[str, Any]:
    return {"id": turn_id, "text": turn.text, "speaker": turn.speaker, "at": turn.said_at.isoformat()}


def _verdict(verdict: SafetyVerdict) -> dict[str, Any]:
    return {
        "action": str(verdict.action),
        "category": verdict.category,
        "detector": verdict.detector,
        "scores": numbers_out(verdict.scores),
        "reasons": list(verdict.reasons),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    numbers = {"log_prob": candidate.hypothesis.log_prob, "score": candidate.hypothesis.score}
    return {
        "text": candidate.text,
        "dropped_by": candidate.dropped_by,
        **numbers_out(numbers),
        "features": numbers_out(candidate.features),
    }


def _rating(given: Given) -> dict[str, Any]:
    return {
        "turn": given.turn_id,
        "label": given.label,
        "value": given.value,
        "form": given.form,
        "at": given.given_at.isoformat(),
    }
