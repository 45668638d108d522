"""Invitation links: signed tokens that say who may do what. Knows no screen and no database.

A token is its content and an HMAC-SHA256 of it, both in URL-safe base64. It holds ids only, never a name.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from dialogue.errors import UserError

DAY_S = 86_400


class Role(StrEnum):
    """What a link allows. "guest" may join one study once, under a name of their own."""

    OWNER = "owner"
    RATER = "rater"
    GUEST = "guest"


@dataclass(frozen=True, slots=True)
class Pass:
    """What a token says. ``expires_at``: seconds since 1970."""

    role: Role
    study_id: int = 0
    rater_id: int = 0
    expires_at: int = 0


def sign(key: bytes, what: Pass) -> str:
    """The token of a pass."""
    content = _encode(json.dumps([what.role, what.study_id, what.rater_id, what.expires_at]).encode())
    return f"{content}.{_encode(_mac(key, content))}"


def verify(key: bytes, token: str) -> Pass:
    """What a token says. UserError unless it was signed with this key and is still valid."""
    content, _, signature = token.partition(".")
    if not hmac.compare_digest(_encode(_mac(key, content)).encode(), signature.encode("utf-8", "surrogatepass")):
        raise UserError("This link is not valid. Ask for a new one.")
    role, study_id, rater_id, expires_at = json.loads(base64.urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    if expires_at < time.time():
        raise UserError("This link has expired. Ask for a new one.")
    return Pass(Role(role), int(study_id), int(rater_id), int(expires_at))


def owner_pass(days: int = 30) -> Pass:
    """A pass for everything."""
    return Pass(Role.OWNER, expires_at=int(time.time()) + days * DAY_S)


def rater_pass(study_id: int, rater_id: int, days: int = 90) -> Pass:
    """A pass of one rater in one study: also what they come back with."""
    return Pass(Role.RATER, study_id, rater_id, int(time.time()) + days * DAY_S)


def guest_pass(study_id: int, days: int = 30) -> Pass:
    """A pass that can be handed to a whole group: each chooses a name and gets a link of their own."""
    return Pass(Role.GUEST, study_id, expires_at=int(time.time()) + days * DAY_S)


def link(base_url: str, key: bytes, what: Pass) -> str:
    """The address to send."""
    return f"{base_url.rstrip('/')}/?t={quote(sign(key, what))}"


def _mac(key: bytes, content: str) -> bytes:
    return hmac.new(key, content.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
