"""OpenAI's models, chat completions and completions in its own JSON. The words come from http_api_answers.py."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Security
from starlette.responses import JSONResponse, Response

from bot.doors import http_api_answers as answers
from bot.doors.http_api_answers import Choice, Outcome
from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_jobs import job_answer, job_of
from bot.doors.http_api_keys import ApiKey
from bot.doors.http_api_schemas import ChatRequest, CompletionRequest, Json, Message, Sampling
from bot.doors.http_api_service import Allowed, Here, Service, person_of, place_of, unless_gone
from bot.doors.http_api_streaming import DONE, EventStream, Job, comment, data, pieces
from bot.exchange import IncomingMessage, Source
from dialogue.decoding.config import PRESETS
from dialogue.errors import DialogueError

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])
Caller = Annotated[ApiKey, Security(Allowed("chat"))]


@dataclass(frozen=True, slots=True)
class Shape:
    """How one of the two endpoints writes its answers."""

    kind: str
    prefix: str
    chat: bool

    def choice(self, index: int, choice: Choice) -> Json:
        """A whole choice."""
        words: Json = (
            {"message": {"role": "assistant", "content": choice.text, "refusal": None}}
            if self.chat
            else {"text": choice.text}
        )
        return {"index": index, **words, "finish_reason": choice.finish, "logprobs": None}

    def delta(self, index: int, text: str | None, finish: str | None = None, *, first: bool = False) -> Json:
        """A piece of a streamed choice."""
        if not self.chat:
            return {"index": index, "text": text or "", "finish_reason": finish, "logprobs": None}
        delta: Json = {"role": "assistant", "content": ""} if first else {} if text is None else {"content": text}
        return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}


CHAT = Shape("chat.completion", "chatcmpl", True)
TEXT = Shape("text_completion", "cmpl", False)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What stands around every answer and every chunk of one request."""

    shape: Shape
    model: str
    conversation: str | None = None
    id: str = ""
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, outcome: Outcome) -> Json:
        """The answer in one piece."""
        choices = [self.shape.choice(index, choice) for index, choice in enumerate(outcome.choices)]
        return {**self._head(self.shape.kind), "choices": choices, "usage": usage(outcome), **self.ours(outcome)}

    def chunk(self, *choices: Json, with_usage: bool = False, **more: Any) -> bytes:
        """One event of a stream."""
        kind = f"{self.shape.kind}.chunk" if self.shape.chat else self.shape.kind
        return data({**self._head(kind), "choices": list(choices), **({"usage": None} if with_usage else {}), **more})

    def _head(self, kind: str) -> Json:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def ours(self, outcome: Outcome) -> Json:
        """Our own field: where the words come from and how long each stage took."""
        seconds = {stage: round(value, 6) for stage, value in outcome.seconds.items()}
        kept = {} if self.conversation is None else {"conversation": self.conversation}
        return {"chinwag": {"source": str(outcome.source), "seconds": seconds, **kept}}


def usage(outcome: Outcome) -> Json:
    """Token counts in OpenAI's names."""
    said = sum(choice.tokens for choice in outcome.choices)
    read = outcome.prompt_tokens
    return {"prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said}


@router.get("/models")
async def models(service: Here, caller: Caller) -> Json:
    """The model that is served, by itself and with each decoding preset."""
    names = [service.model_name, *(f"{service.model_name}:{preset}" for preset in sorted(PRESETS))]
    return {"object": "list", "data": [_model(service, name) for name in names]}


@router.get("/models/{model:path}")
async def model(model: str, service: Here, caller: Caller) -> Json:
    """One model; 404 for one that is not served."""
    service.preset_of(model)
    return _model(service, model)


def _model(service: Service, name: str) -> Json:
    return {"id": name, "object": "model", "created": service.started, "owned_by": "chinwag"}


@router.post("/chat/completions")
async def chat_completions(
    body: ChatRequest, request: Request, service: Here, caller: Caller, idempotency_key: Annotated[str, Header()] = ""
) -> Response:
    """Answer a conversation: the one in ``messages``, or the one the server keeps under ``conversation``."""
    preset = service.preset_of(body.model)
    envelope = _envelope(service, CHAT, body, body.conversation)
    last = next((message.text for message in reversed(body.messages) if message.role == "user"), "")
    if job := job_of(last, body.told):
        return await _deliver(request, envelope, body, _job_done(service, job, last, body.schema_fields))
    if body.conversation is None:
        conversation = await asyncio.to_thread(answers.conversation_of, service, body.messages, body.persona)
        config = answers.decoding(service, body, preset, body.reply_tokens)
        work = Job(lambda tell: answers.answer_once(service, conversation, config, body, tell))
    else:
        message = _incoming(service, caller, body, preset, idempotency_key or None)
        work = Job(lambda tell: _kept(service, message, body, envelope.id, tell))
    return await _deliver(request, envelope, body, work)


@router.post("/completions")
async def completions(body: CompletionRequest, request: Request, service: Here, caller: Caller) -> Response:
    """Answer each prompt as one message of a person."""
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt
    if not 1 <= len(prompts) <= 16:
        raise ApiError(400, "Send 1 to 16 prompts.", code="invalid_value", param="prompt")
    preset = service.preset_of(body.model)
    work = Job(lambda tell: _answer_prompts(service, body, prompts, preset))
    return await _deliver(request, _envelope(service, TEXT, body, None), body, work)


async def _answer_prompts(service: Service, body: CompletionRequest, prompts: list[str], preset: str | None) -> Outcome:
    config = answers.decoding(service, body, preset, body.max_tokens)
    talks = [answers.conversation_of(service, [Message(role="user", content=text)], None) for text in prompts]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_settled(answers.answer_once(service, t, config, body, lambda _: None))) for t in talks
        ]
    outcomes = [task.result() for task in tasks]
    for outcome in outcomes:
        if isinstance(outcome, DialogueError):
            raise outcome
    done = [outcome for outcome in outcomes if isinstance(outcome, Outcome)]
    choices = [
        Choice(f"{prompt}{choice.text}" if body.echo else choice.text, choice.finish, choice.tokens)
        for prompt, outcome in zip(prompts, done, strict=True)
        for choice in outcome.choices
    ]
    read = sum(outcome.prompt_tokens for outcome in done)
    return Outcome(tuple(choices), read, done[0].source, done[0].seconds)


async def _settled(work: Any) -> Outcome | DialogueError:
    """The outcome, or the reason why there is none: one refused prompt must not hide behind a group of errors."""
    try:
        outcome: Outcome = await work
    except DialogueError as error:
        return error
    return outcome


def _envelope(service: Service, shape: Shape, body: Sampling, conversation: str | None) -> Envelope:
    identity = f"{shape.prefix}-{secrets.token_hex(12)}"
    preset = service.preset_of(body.model)
    served = f"{service.model_name}:{preset}" if preset else service.model_name
    return Envelope(shape, served, conversation, identity)


def _incoming(
    service: Service, key: ApiKey, body: ChatRequest, preset: str | None, header_id: str | None
) -> IncomingMessage:
    last = body.messages[-1]
    if last.role != "user" or body.conversation is None:
        raise ApiError(400, "The last message must be the user's.", code="invalid_value", param="messages")
    return IncomingMessage(
        place_of(key, body.conversation),
        person_of(key, body.user, body.conversation),
        last.text,
        service.deadline(),
        speaker=last.name,
        message_id=body.message_id or header_id,
        persona=body.persona,
        preset=preset,
        seed=None if body.seed is None else body.seed & 0x7FFFFFFF,
        options={"decoding": {"reply_tokens": body.reply_tokens, "temperature": body.temperature, "top_p": body.top_p}},
    )


async def _kept(service: Service, message: IncomingMessage, body: ChatRequest, identity: str, tell: Any) -> Outcome:
    """Answer and remember under which id, so that /v1/ratings finds the turn."""
    outcome = await answers.answer_kept(service, message, body, tell)
    assert outcome.turn_id is not None
    await asyncio.to_thread(service.engine.store.sent, message.key, outcome.turn_id, (identity,))
    return outcome


def _job_done(service: Service, job: str, text: str, fields: frozenset[str]) -> Job[Outcome]:
    service.metrics.events.labels(f"job_{job}").inc()

    async def answer(tell: Any) -> Outcome:
        said = await asyncio.to_thread(job_answer, job, text[:20_000], fields)
        tokens = len(service.engine.responder.model.vocabulary.encode(said))
        return Outcome((Choice(said, "stop", tokens),), 0, Source.FALLBACK)

    return Job(answer)


async def _deliver(request: Request, envelope: Envelope, body: Sampling, work: Job[Outcome]) -> Response:
    """The answer in one piece or as a stream; either way a client that leaves cancels the work."""
    try:
        if body.stream:
            await work.started()
            return EventStream(_events(envelope, body, work), work.cancel)
        return JSONResponse(envelope.whole(await unless_gone(request, _result(work))))
    except BaseException:
        await work.cancel()
        raise


async def _result(work: Job[Outcome]) -> Outcome:
    return await work.task


async def _events(envelope: Envelope, body: Sampling, work: Job[Outcome]) -> AsyncIterator[bytes]:
    """OpenAI's order of chunks: role, words, finish reason, perhaps usage, ``[DONE]``."""
    shape = envelope.shape
    with_usage = body.stream_options is not None and body.stream_options.include_usage
    try:
        if shape.chat:
            for index in range(1 if envelope.conversation is not None else body.n or 1):
                yield envelope.chunk(shape.delta(index, "", first=True), with_usage=with_usage)
        async for tokens in work.progress():
            yield comment(f"thinking {tokens}")
        outcome = work.task.result()
        for index, choice in enumerate(outcome.choices):
            for piece in pieces(choice.text):
                yield envelope.chunk(shape.delta(index, piece), with_usage=with_usage)
        finishes = [shape.delta(index, None, choice.finish) for index, choice in enumerate(outcome.choices)]
        for finish in finishes[:-1]:
            yield envelope.chunk(finish, with_usage=with_usage)
        yield envelope.chunk(finishes[-1], with_usage=with_usage, **envelope.ours(outcome))
        if with_usage:
            yield envelope.chunk(usage=usage(outcome))
        yield DONE
    finally:
        await work.cancel()
