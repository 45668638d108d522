"""OpenAI's /v1/moderations over our own safety filter: our categories, and OpenAI's names beside them."""

from __future__ import annotations

import asyncio
import secrets
from typing import Annotated

from fastapi import APIRouter, Security

from bot.doors.http_api_errors import ApiError
from bot.doors.http_api_keys import ApiKey
from bot.doors.http_api_schemas import Json, ModerationRequest
from bot.doors.http_api_service import DOOR, Allowed, Here, Service
from bot.tidy import tidy
from dialogue.errors import UserError
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from safety.verdict import Action, SafetyVerdict

router = APIRouter(prefix="/v1", tags=["OpenAI-compatible"])
NAME = "chinwag-safety"

_THEIRS: dict[str, tuple[str, ...]] = {
    "harassment": ("offensive", "harassment"),
    "harassment/threatening": (),
    "hate": ("hate",),
    "hate/threatening": (),
    "illicit": ("dangerous",),
    "illicit/violent": (),
    "self-harm": ("selfharm",),
    "self-harm/intent": ("selfharm",),
    "self-harm/instructions": (),
    "sexual": ("sexual", "sexual_minors"),
    "sexual/minors": ("sexual_minors",),
    "violence": ("violence",),
    "violence/graphic": (),
}
"""OpenAI's category: ours that mean it. An empty entry is one we cannot tell apart; it is never flagged."""

_NOT_BLAME = ("unsafe", "sensitive")
_IN_NEED = ("in_danger", "emergency", "distress")
"""Categories that call for help and are nobody's fault: their scores are given, but no text is flagged for them."""


@router.post("/moderations")
async def moderations(
    body: ModerationRequest, service: Here, caller: Annotated[ApiKey, Security(Allowed("moderate"))]
) -> Json:
    """Judge texts as messages of a person, each by itself."""
    given = [body.input] if isinstance(body.input, str) else body.input
    texts = [part if isinstance(part, str) else part.text or "" for part in given]
    if not 1 <= len(texts) <= 32:
        raise ApiError(400, "Send 1 to 32 texts.", code="invalid_value", param="input")
    results = await asyncio.to_thread(lambda: [_result(service, text) for text in texts])
    return {"id": f"modr-{secrets.token_hex(12)}", "model": NAME, "results": results}


def _result(service: Service, text: str) -> Json:
    try:
        clean = tidy(text, service.engine.habits.max_message_chars)
    except UserError:
        if text.strip():
            raise
        clean = ""
    nowhere = Conversation(ConversationKey(DOOR, "moderation"), Persona("nobody"))
    return as_result(service.engine.responder.safety.hear(Turn(Role.USER, clean), nowhere), service)


def as_result(verdict: SafetyVerdict, service: Service) -> Json:
    """A verdict in OpenAI's form, our action beside it."""
    rules = service.engine.responder.safety.policy.rules
    ours = {name: verdict.scores.get(name, 0.0) for name in rules if name not in _NOT_BLAME}
    flagged = verdict.action > Action.SOFTEN and verdict.category is not None and verdict.category not in _IN_NEED
    scores = {theirs: max((ours.get(name, 0.0) for name in names), default=0.0) for theirs, names in _THEIRS.items()}
    hits = {theirs: flagged and verdict.category in names for theirs, names in _THEIRS.items()}
    own_hits = {name: flagged and verdict.category == name for name in ours}
    return {
        "flagged": flagged,
        "categories": {**own_hits, **hits},
        "category_scores": {**ours, **scores},
        "category_applied_input_types": {name: ["text"] for name in hits},
        "chinwag": {"action": str(verdict.action), "category": verdict.category, "detector": verdict.detector},
    }
