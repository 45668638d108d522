"""The engine over HTTP: the same protocol as ChatEngine, answered by any number of ``chinwag serve`` processes.

Several addresses may be given; a conversation prefers one of them, and another is tried when it is out of reach.
Trying again is safe where a message has an id: it is answered once, whichever engine gets it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from bot.doors import wire
from bot.exchange import EngineEvent, Export, Feedback, Forgotten, IncomingMessage, Reply
from bot.request_id import HEADER, is_request_id
from dialogue.errors import ChinwagError, DeadlineExceeded, ModelError, Overloaded, StorageError, UserError
from dialogue.persona_cards import load_persona
from dialogue.turns import ConversationKey, Persona, PersonKey

log = logging.getLogger("chinwag")
Json = dict[str, Any]
_OUT_OF_REACH = "The chatbot is out of reach right now; try again in a moment."
_SLACK_S = 5.0
"""Beyond a message's deadline the engine's own answer about it is still waited for."""


class RemoteEngine:
    """Implements bot.exchange.Engine over HTTP; made by ``open_remote``."""

    def __init__(self, session: aiohttp.ClientSession, urls: list[str], *, timeout_s: float = 60.0) -> None:
        self._session, self._urls, self._timeout_s = session, urls, timeout_s

    async def reply(self, message: IncomingMessage) -> Reply:
        """See Engine."""
        body = wire.message_out(message)
        answer = await self._post("reply", body, str(message.key), body["timeout_s"], message.message_id is not None)
        return wire.reply_in(answer)

    async def events(self, message: IncomingMessage) -> AsyncIterator[EngineEvent]:
        """See Engine. Leaving early closes the connection, which cancels the reply over there."""
        body = wire.message_out(message)
        async with self._request("events", body, self._order(str(message.key))[0], body["timeout_s"]) as response:
            async for line in response.content:
                if line.startswith(b"data: "):
                    event = json.loads(line[6:])
                    if "error" in event:
                        raise as_error(500, event, {})
                    yield wire.event_in(event)

    async def feedback(self, feedback: Feedback) -> None:
        """See Engine."""
        await self._post("feedback", wire.feedback_out(feedback), str(feedback.turn_id))

    async def export(self, person: PersonKey) -> Export:
        """See Engine."""
        answer = await self._post("export", {"door": person.door, "person": person.name}, str(person))
        return Export(answer["data"])

    async def forget(self, person: PersonKey) -> Forgotten:
        """See Engine. Every engine is told: one of them may be answering this person, and must not store it."""
        counts: Counter[str] = Counter()
        reached = 0
        for url in self._urls:
            with suppress(_OutOfReach):
                body = {"door": person.door, "person": person.name}
                async with self._request("forget", body, url, self._timeout_s) as response:
                    counts.update((await response.json())["counts"])
                    reached += 1
        if not reached:
            raise Overloaded(_OUT_OF_REACH, retry_after_s=5.0)
        return Forgotten(dict(counts))

    async def reset(self, key: ConversationKey) -> None:
        """See Engine."""
        await self._post("reset", {"door": key.door, "place": key.place}, str(key), again=False)

    async def use_persona(self, key: ConversationKey, name: str) -> Persona:
        """See Engine."""
        await self._post("persona", {"door": key.door, "place": key.place, "persona": name}, str(key))
        return load_persona(name)

    async def _post(
        self, what: str, body: Json, about: str, timeout_s: float | None = None, again: bool = True
    ) -> Json:
        """One call; where doing it twice is harmless, the other engines are tried when one is out of reach."""
        urls = self._order(about)
        for url in urls if again else urls[:1]:
            try:
                async with self._request(what, body, url, timeout_s or self._timeout_s) as response:
                    answer: Json = await response.json()
                    return answer
            except _OutOfReach:
                await asyncio.sleep(0.05)
        raise Overloaded(_OUT_OF_REACH, retry_after_s=5.0)

    def _order(self, about: str) -> list[str]:
        start = zlib.crc32(about.encode("utf-8", "replace")) % len(self._urls)
        return [*self._urls[start:], *self._urls[:start]]

    @asynccontextmanager
    async def _request(
        self, what: str, body: Json, url: str, timeout_s: float
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=max(0.1, timeout_s) + _SLACK_S, connect=5.0)
        place = f"{url}/engine/{what}"
        try:
            async with self._session.post(place, json=body, timeout=timeout, headers=_id_of(body)) as response:
                if response.status != 200:
                    raise as_error(response.status, await _json(response), response.headers)
                yield response
        except TimeoutError:
            raise DeadlineExceeded("the engine's answer") from None
        except aiohttp.ClientError as error:
            raise _OutOfReach(type(error).__name__) from error


class KeyRefused(ModelError):
    """The engine does not take this door's key: nothing that the person who waits could put right."""


class _OutOfReach(Overloaded):
    """No connection, or it broke."""


def _id_of(body: Json) -> dict[str, str]:
    """The door's own id of a message as the request's id, so that both logs tell of it under one name."""
    known = f"{body.get('door')}-{body.get('message_id')}"
    return {HEADER: known} if body.get("message_id") and is_request_id(known) else {}


async def _json(response: aiohttp.ClientResponse) -> Json:
    try:
        answer: Json = await response.json(content_type=None)
    except ValueError:
        return {}
    return answer


def as_error(status: int, answer: Json, headers: Any) -> ChinwagError:
    """The engine's refusal as the error it was over there."""
    told = answer.get("error", {})
    message, code = str(told.get("message") or f"The engine answered {status}."), told.get("code")
    if code in ("overloaded", "rate_limit_exceeded"):
        return Overloaded(message, float(headers.get("Retry-After", 1)))
    if code == "deadline_exceeded":
        return DeadlineExceeded("the engine")
    if code == "storage":
        return StorageError(message)
    if status in (401, 403):
        log.error("the engine refuses the key in CHINWAG_API_KEY: %s", message)
        return KeyRefused(f"The engine refuses the key in CHINWAG_API_KEY: {message}")
    return UserError(message) if status == 400 else ModelError(message)


@asynccontextmanager
async def open_remote(engine_url: str, api_key: str, *, timeout_s: float = 60.0) -> AsyncIterator[RemoteEngine]:
    """A remote engine; ``engine_url`` is one address or several with commas between them."""
    urls = [url.strip().rstrip("/") for url in engine_url.split(",") if url.strip()]
    if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
        raise UserError(f"CHINWAG_ENGINE_URL must be addresses like http://127.0.0.1:8000, not {engine_url!r}.")
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield RemoteEngine(session, urls, timeout_s=timeout_s)
