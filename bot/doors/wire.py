"""Engine values as JSON and back: what RemoteEngine and the engine endpoints say to each other.

Deadlines travel as seconds left, because two machines share no clock. Candidates travel without token ids.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.exchange import EngineEvent, Feedback, IncomingMessage, Reply, Source
from dialogue.candidates import Candidate, Hypothesis
from dialogue.turns import ConversationKey, PersonKey, Role, Turn
from safety.verdict import Action, SafetyVerdict, Span

Json = dict[str, Any]


def message_out(message: IncomingMessage) -> Json:
    """A message for the wire."""
    return {
        "door": message.key.door,
        "place": message.key.place,
        "person_door": message.person.door,
        "person": message.person.name,
        "text": message.text,
        "timeout_s": message.deadline - time.monotonic(),
        "speaker": message.speaker,
        "message_id": message.message_id,
        "persona": message.persona,
        "preset": message.preset,
        "seed": message.seed,
        "quoted": [turn_out(turn) for turn in message.quoted],
        "options": dict(message.options),
    }


def message_in(data: Mapping[str, Any], longest_s: float) -> IncomingMessage:
    """The message again, its deadline on this machine's clock and no later than ``longest_s`` from now."""
    return IncomingMessage(
        ConversationKey(data["door"], data["place"]),
        PersonKey(data["person_door"], data["person"]),
        data["text"],
        time.monotonic() + min(data["timeout_s"], longest_s),
        speaker=data.get("speaker"),
        message_id=data.get("message_id"),
        persona=data.get("persona"),
        preset=data.get("preset"),
        seed=data.get("seed"),
        quoted=tuple(turn_in(turn) for turn in data.get("quoted") or ()),
        options=data.get("options") or {},
    )


def reply_out(reply: Reply) -> Json:
    """A reply for the wire."""
    return {
        "turn": turn_out(reply.turn),
        "turn_id": reply.turn_id,
        "source": str(reply.source),
        "candidates": [_candidate_out(candidate) for candidate in reply.candidates],
        "verdict_in": _verdict_out(reply.verdict_in),
        "verdict_out": _verdict_out(reply.verdict_out),
        "seconds": dict(reply.seconds),
    }


def reply_in(data: Mapping[str, Any]) -> Reply:
    """The reply again."""
    return Reply(
        turn_in(data["turn"]),
        int(data["turn_id"]),
        Source(data["source"]),
        tuple(_candidate_in(candidate) for candidate in data["candidates"]),
        _verdict_in(data["verdict_in"]),
        _verdict_in(data["verdict_out"]),
        data["seconds"],
    )


def event_out(event: EngineEvent) -> Json:
    """An event for the wire."""
    return {
        "stage": event.stage,
        "tokens": event.tokens,
        "reply": None if event.reply is None else reply_out(event.reply),
    }


def event_in(data: Mapping[str, Any]) -> EngineEvent:
    """The event again."""
    reply = data.get("reply")
    return EngineEvent(data["stage"], data["tokens"], None if reply is None else reply_in(reply))


def feedback_out(feedback: Feedback) -> Json:
    """A rating for the wire."""
    return {
        "turn_id": feedback.turn_id,
        "person_door": feedback.person.door,
        "person": feedback.person.name,
        "label": feedback.label,
        "value": feedback.value,
        "form": feedback.form,
    }


def turn_out(turn: Turn) -> Json:
    """A turn for the wire."""
    return {"role": str(turn.role), "text": turn.text, "speaker": turn.speaker, "said_at": turn.said_at.isoformat()}


def turn_in(data: Mapping[str, Any]) -> Turn:
    """The turn again."""
    return Turn(Role(data["role"]), data["text"], data["speaker"], datetime.fromisoformat(data["said_at"]))


def _candidate_out(candidate: Candidate) -> Json:
    found = candidate.hypothesis
    return {
        "text": candidate.text,
        "log_prob": found.log_prob,
        "score": found.score,
        "finished": found.finished,
        "features": dict(candidate.features),
        "dropped_by": candidate.dropped_by,
    }


def _candidate_in(data: Mapping[str, Any]) -> Candidate:
    hypothesis = Hypothesis((), data["log_prob"], data["score"], data["finished"])
    return Candidate(data["text"], hypothesis, data["features"], data["dropped_by"])


def _verdict_out(verdict: SafetyVerdict) -> Json:
    return {
        "action": str(verdict.action),
        "category": verdict.category,
        "scores": dict(verdict.scores),
        "threshold": verdict.threshold,
        "detector": verdict.detector,
        "spans": [[span.start, span.end, span.kind] for span in verdict.spans],
        "reasons": list(verdict.reasons),
    }


def _verdict_in(data: Mapping[str, Any]) -> SafetyVerdict:
    return SafetyVerdict(
        Action[data["action"].upper()],
        data["category"],
        data["scores"],
        data["threshold"],
        data["detector"],
        tuple(Span(*span) for span in data["spans"]),
        tuple(data["reasons"]),
    )
