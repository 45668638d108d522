"""Conversations the server keeps: read, reset, change persona, rate, explain; a person's export and deletion."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Security

from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_keys import ApiKey
from bot.doors.http_api_schemas import Json, PersonaRequest, Place, RatingRequest
from bot.doors.http_api_service import Allowed, Here, person_of, place_of
from bot.exchange import Feedback
from dialogue.persona_cards import load_persona, persona_names

router = APIRouter(prefix="/v1", tags=["Conversations"])
Caller = Annotated[ApiKey, Security(Allowed("chat"))]
User = Annotated[str, Path(min_length=1, max_length=200)]


@router.get("/personas")
async def personas(service: Here, caller: Caller) -> Json:
    """Who the bot can be."""
    cards = [(name, load_persona(name)) for name in persona_names()]
    data = [
        {"id": name, "name": card.name, "facts": list(card.facts), "language": card.language} for name, card in cards
    ]
    return {"object": "list", "data": data, "default": service.engine.habits.persona}


@router.get("/conversations/{conversation}")
async def conversation(conversation: Place, service: Here, caller: Caller) -> Json:
    """The turns since the last reset, oldest first; empty for a conversation that nobody began."""
    store, habits = service.engine.store, service.engine.habits
    stored = await asyncio.to_thread(store.load, place_of(caller, conversation), last=habits.history_turns)
    turns = [
        {"role": str(turn.role), "text": turn.text, "speaker": turn.speaker, "said_at": turn.said_at.isoformat()}
        for turn in stored.turns
    ]
    return {"conversation": conversation, "persona": stored.persona or habits.persona, "turns": turns}


@router.post("/conversations/{conversation}/reset")
async def reset(conversation: Place, service: Here, caller: Caller) -> Json:
    """Begin anew: earlier turns stay stored but are no longer read."""
    await service.engine.reset(place_of(caller, conversation))
    return {"conversation": conversation, "reset": True}


@router.put("/conversations/{conversation}/persona")
async def persona(conversation: Place, body: PersonaRequest, service: Here, caller: Caller) -> Json:
    """Change who the bot is here, from the next message on."""
    card = await service.engine.use_persona(place_of(caller, conversation), body.persona)
    return {"conversation": conversation, "persona": body.persona, "name": card.name}


@router.get("/conversations/{conversation}/why")
async def why(conversation: Place, service: Here, caller: Caller) -> Json:
    """How the last reply came about: candidates, what dropped some, verdicts, seconds by stage."""
    record = await asyncio.to_thread(service.engine.store.why, place_of(caller, conversation))
    if record is None:
        raise ApiError(404, "There is no reply in this conversation yet.", code="not_found")
    reply = record.reply
    candidates = [
        {"text": c.text, "log_prob": c.hypothesis.log_prob, "score": c.hypothesis.score,
         "features": dict(c.features), "dropped_by": c.dropped_by}
        for c in reply.candidates
    ]  # fmt: skip
    return {
        "source": str(reply.source),
        "model": record.model,
        "persona": record.persona,
        "heard": {"action": str(reply.verdict_in.action), "category": reply.verdict_in.category},
        "said": {"action": str(reply.verdict_out.action), "category": reply.verdict_out.category},
        "seconds": dict(reply.seconds),
        "candidates": candidates,
    }


@router.post("/ratings")
async def ratings(body: RatingRequest, service: Here, caller: Caller) -> Json:
    """Store what a person thinks of a reply; a new value replaces the old, null takes it back."""
    key, person = place_of(caller, body.conversation), person_of(caller, body.user, body.conversation)
    service.form.check(body.label, 1 if body.value is None else body.value)
    turn_id = await asyncio.to_thread(service.engine.store.turn_sent_as, key, body.reply)
    if turn_id is None:
        raise ApiError(404, "There is no such reply in this conversation.", code="not_found", param="reply")
    if body.value is None:
        withdrawn = await asyncio.to_thread(service.engine.store.withdraw, turn_id, person, body.label)
        return {"stored": False, "withdrawn": withdrawn}
    await service.engine.feedback(Feedback(turn_id, person, body.label, body.value, service.form.version))
    service.metrics.ratings.labels(body.label, str(body.value)).inc()
    return {"stored": True, "form": service.form.version}


@router.get("/ratings/form")
async def form(service: Here, caller: Caller) -> Json:
    """The questions that may be answered, and their version."""
    return {"version": service.form.version, "questions": dict(service.form.questions)}


@router.get("/people/{user:path}/export")
async def export(user: User, service: Here, caller: Caller) -> Json:
    """Everything that is stored about a ``user`` of this key."""
    return dict((await service.engine.export(person_of(caller, user))).data)


@router.delete("/people/{user:path}")
async def forget(user: User, service: Here, caller: Caller) -> Json:
    """Remove every trace of a ``user`` of this key."""
    return {"removed": dict((await service.engine.forget(person_of(caller, user))).counts)}


@router.delete("/conversations/{conversation}")
async def forget_conversation(conversation: Place, service: Here, caller: Caller) -> Json:
    """Remove every trace of whoever held this conversation without naming a ``user``."""
    return {"removed": dict((await service.engine.forget(person_of(caller, None, conversation))).counts)}
