"""Requests for the storms: sound ones, and ones that are broken in one of many ways."""

from __future__ import annotations

import json
import random
import string
from typing import Any

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


def body(text: str, **more: Any) -> dict[str, Any]:
    """A sound request of one message."""
    return {"messages": [{"role": "user", "content": text}], **more}


def nonsense(chance: random.Random) -> bytes:
    """A request that is broken in one of many ways, or happens to be fine."""
    value: Any = chance.choice([None, -1, 1e308, "", "\x00", [], {}, True, "x" * 3000, [[]], "\U0001f600" * 50])
    wanted = body("Hello")
    fields = ["messages", "n", "stop", "seed", "model", "stream", "max_tokens", "user", "conversation"]
    wanted[chance.choice(fields)] = value
    raw = json.dumps(wanted).encode()
    kind = chance.randrange(4)
    if kind == 0:
        return raw[: chance.randrange(len(raw))]
    if kind == 1:
        place = chance.randrange(len(raw))
        return raw[:place] + bytes([chance.randrange(256)]) + raw[place + 1 :]
    return raw if kind == 2 else "".join(chance.choices(string.printable, k=80)).encode()
