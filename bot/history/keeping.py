"""The form in which texts, ids and numbers are kept, the same for every store: what no database refuses, and no more.

A candidate's token ids are not kept: decoded again, they would give back what masking took out of its text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Any

from bot.exchange import Exchange
from bot.history.store import OWN_SCOPE, Scope
from dialogue.candidates import Candidate
from dialogue.errors import UserError
from dialogue.turns import Turn
from safety.verdict import SafetyVerdict

_LONGEST_ID = 200


def storable(text: str) -> str:
    """The text as every database can keep it: NUL and lone surrogates become U+FFFD."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def identifier(name: str) -> str:
    """A door's own id as a key: itself where short and clean, else its beginning and a digest of the whole."""
    if len(name) <= _LONGEST_ID and storable(name) == name:
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{storable(name)[:100]}#{digest}"


def check_settings(scope: Scope, changes: Mapping[str, Any]) -> None:
    """Raise UserError unless scope and values can be stored as JSON."""
    if scope == OWN_SCOPE:
        raise UserError(f"The settings scope {OWN_SCOPE!r} belongs to the store itself; use another name.")
    for name, value in changes.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise UserError(f"The setting {name!r} cannot be stored: its value must be plain JSON.") from None


def numbers_out(numbers: Mapping[str, float]) -> dict[str, float | str]:
    """Numbers as strict JSON: what is not finite becomes a word that ``float`` reads back."""
    return {storable(name): value if math.isfinite(value) else repr(float(value)) for name, value in numbers.items()}


def numbers_in(numbers: Mapping[str, float | str]) -> dict[str, float]:
    """The inverse of :func:`numbers_out`."""
    return {name: float(value) for name, value in numbers.items()}


def kept(exchange: Exchange) -> Exchange:
    """The exchange as it will be read back: clean texts and ids, no token ids, mappings of its own."""
    return replace(
        exchange,
        heard=_kept_turn(exchange.heard),
        said=_kept_turn(exchange.said),
        candidates=tuple(_kept_candidate(candidate) for candidate in exchange.candidates),
        verdict_in=_kept_verdict(exchange.verdict_in),
        verdict_out=_kept_verdict(exchange.verdict_out),
        model=storable(exchange.model),
        persona=storable(exchange.persona),
        seconds=dict(exchange.seconds),
        message_id=None if exchange.message_id is None else identifier(exchange.message_id),
    )


def _kept_turn(turn: Turn) -> Turn:
    return replace(turn, text=storable(turn.text), speaker=None if turn.speaker is None else storable(turn.speaker))


def _kept_candidate(candidate: Candidate) -> Candidate:
    hypothesis = replace(candidate.hypothesis, token_ids=())
    return replace(candidate, text=storable(candidate.text), hypothesis=hypothesis, features=dict(candidate.features))


def _kept_verdict(verdict: SafetyVerdict) -> SafetyVerdict:
    reasons = tuple(storable(reason) for reason in verdict.reasons)
    return replace(verdict, scores=dict(verdict.scores), reasons=reasons)
