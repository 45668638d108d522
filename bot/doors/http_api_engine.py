"""The engine itself over HTTP, for doors in other processes (bot/remote.py). Needs a key with the scope "engine"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Security
from pydantic import AwareDatetime, BaseModel, Field
from starlette.responses import JSONResponse, Response

from bot.doors import wire
from bot.doors.http_api_keys import ApiKey
from bot.doors.http_api_schemas import Json
from bot.doors.http_api_service import Allowed, Here, Service, unless_gone
from bot.doors.http_api_streaming import EventStream, data
from bot.exchange import Feedback, IncomingMessage, Reply
from dialogue.turns import ConversationKey, PersonKey

router = APIRouter(prefix="/engine", tags=["Engine"])
Caller = Annotated[ApiKey, Security(Allowed("engine"))]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class Decoding(BaseModel):
    """bot.wishes.Wishes."""

    reply_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)


class Options(BaseModel):
    """IncomingMessage.options: safety levels by category, and what to change of the preset."""

    safety: dict[str, str] = Field(default_factory=dict)
    decoding: Decoding = Field(default_factory=Decoding)


class Quoted(BaseModel):
    """dialogue.turns.Turn."""

    role: Literal["user", "bot"]
    text: str
    speaker: str | None = Field(default=None, max_length=200)
    said_at: AwareDatetime


class Incoming(BaseModel):
    """bot.exchange.IncomingMessage; the deadline as seconds left."""

    door: Name
    place: Name
    person_door: Name
    person: Name
    text: str
    timeout_s: float = Field(gt=-3600, lt=3600)
    speaker: str | None = Field(default=None, max_length=200)
    message_id: str | None = Field(default=None, max_length=200)
    persona: str | None = Field(default=None, max_length=80, pattern=r"^[\w-]+$")
    preset: str | None = Field(default=None, max_length=80)
    seed: int | None = Field(default=None, ge=0, le=2**31 - 1)
    quoted: list[Quoted] = Field(default_factory=list, max_length=16)
    options: Options = Field(default_factory=Options)


class Rated(BaseModel):
    """bot.exchange.Feedback; the time is now."""

    turn_id: int = Field(ge=0, le=2**63 - 1)
    person_door: Name
    person: Name
    label: Name
    value: int = Field(ge=-100, le=100)
    form: Name


class Who(BaseModel):
    """A person at a door."""

    door: Name
    person: Name


class Where(BaseModel):
    """A conversation at a door, and perhaps the persona to use there."""

    door: Name
    place: Name
    persona: str | None = Field(default=None, max_length=80, pattern=r"^[\w-]+$")


@router.post("/reply")
async def reply(body: Incoming, request: Request, service: Here, caller: Caller) -> Response:
    """Answer one message."""
    message = wire.message_in(body.model_dump(mode="json"), service.timeout_s)
    answer = await unless_gone(request, service.engine.reply(message))
    _observe(service, message, answer)
    return JSONResponse(wire.reply_out(answer))


@router.post("/events")
async def events(body: Incoming, service: Here, caller: Caller) -> Response:
    """The same as server-sent events, the last of which carries the reply."""
    message = wire.message_in(body.model_dump(mode="json"), service.timeout_s)
    return EventStream(_events(service, message))


async def _events(service: Service, message: IncomingMessage) -> AsyncIterator[bytes]:
    async for event in service.engine.events(message):
        if event.reply is not None:
            _observe(service, message, event.reply)
        yield data(wire.event_out(event))


def _observe(service: Service, message: IncomingMessage, answer: Reply) -> None:
    service.metrics.observe(message.key.door, answer, answer.seconds)


@router.post("/feedback")
async def feedback(body: Rated, service: Here, caller: Caller) -> Json:
    """Store a rating."""
    person = PersonKey(body.person_door, body.person)
    await service.engine.feedback(Feedback(body.turn_id, person, body.label, body.value, body.form))
    return {"stored": True}


@router.post("/export")
async def export(body: Who, service: Here, caller: Caller) -> Json:
    """Everything that is stored about a person."""
    return {"data": dict((await service.engine.export(PersonKey(body.door, body.person))).data)}


@router.post("/forget")
async def forget(body: Who, service: Here, caller: Caller) -> Json:
    """Remove every trace of a person."""
    return {"counts": dict((await service.engine.forget(PersonKey(body.door, body.person))).counts)}


@router.post("/reset")
async def reset(body: Where, service: Here, caller: Caller) -> Json:
    """Begin anew in a conversation."""
    await service.engine.reset(ConversationKey(body.door, body.place))
    return {"reset": True}


@router.post("/persona")
async def persona(body: Where, service: Here, caller: Caller) -> Json:
    """Change who the bot is in a conversation; null goes back to the settings' persona."""
    key = ConversationKey(body.door, body.place)
    card = await service.engine.use_persona(key, body.persona or service.engine.habits.persona)
    return {"name": card.name}
