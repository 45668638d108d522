"""The outputs on docs/decoding.md: one conversation, answered with every preset by a real model, between its markers.

A block of the page belongs to a preset, or to the model's own decoding (``default``): what stands between
``<!-- output: NAME -->`` and ``<!-- end of output -->``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dialogue.candidates import Candidate
from dialogue.decoding.config import PRESETS
from dialogue.errors import UserError
from dialogue.generator import GenerationRequest, Generator
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

TALK = (
    (Role.USER, "Hi! I just came back from a long walk with my dog."),
    (Role.BOT, "That sounds lovely! What is your dog called?"),
    (Role.USER, "Biscuit. He stole a whole sandwich from a picnic today!"),
)
"""The same conversation throughout the page."""

OWN = "default"
"""The block of the model's own decoding, where no preset is asked for."""

SHOWN = 3
"""Candidates shown for each preset."""

_BLOCK = re.compile(r"(<!-- output: (\S+) -->\n).*?(<!-- end of output -->)", re.DOTALL)


def outputs(generator: Generator, persona: Persona, seed: int = 1) -> dict[str, str]:
    """What the model answers with each preset and by itself, as Markdown; the same seed for all that draw."""
    turns = tuple(Turn(role, text) for role, text in TALK)
    conversation = Conversation(ConversationKey("docs", "decoding"), persona, turns)
    configs = {**PRESETS, OWN: generator.model.defaults}
    requests = [GenerationRequest(conversation, config.with_(seed=seed)) for config in configs.values()]
    answers = generator.generate(requests)
    return {name: listing(generator.model.name, found) for name, found in zip(configs, answers, strict=True)}


def listing(model: str, candidates: Sequence[Candidate]) -> str:
    """The first candidates with their mean log-probability per token, and the rule that dropped one."""
    lines = [f"{model}, the first {SHOWN} of {len(candidates)}; nats per token"]
    for candidate in candidates[:SHOWN]:
        mean = candidate.hypothesis.log_prob / max(len(candidate.hypothesis.token_ids), 1)
        dropped = f"   [dropped: {candidate.dropped_by}]" if candidate.dropped_by else ""
        lines.append(f"{mean:7.2f}  {' '.join(candidate.text.split())}{dropped}")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def filled(page: str, found: Mapping[str, str]) -> str:
    """The page with every block filled anew; raises UserError when page and presets do not match."""
    blocks = {match[2] for match in _BLOCK.finditer(page)}
    if blocks != set(found):
        odd = ", ".join(sorted(blocks ^ set(found)))
        raise UserError(f"The page and the presets differ in: {odd}; add or remove their blocks in docs/decoding.md.")
    return _BLOCK.sub(lambda match: match[1] + found[match[2]] + match[3], page)
