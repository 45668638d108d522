"""A model ready to chat: the network behind the Seq2Seq protocol, its vocabulary, and how it reads a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dialogue.turns import Conversation

if TYPE_CHECKING:
    from dialogue.decoding.config import DecodingConfig
    from dialogue.decoding.protocol import Seq2Seq


class Vocabulary(Protocol):
    """Text to token ids and back, without special tokens unless asked for."""

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; text that looks like a special token is read as plain text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text, special tokens left out."""
        ...


class ContextFormat(Protocol):
    """How one checkpoint family reads a conversation (separators, persona lines, role tokens)."""

    def encode(self, conversation: Conversation, budget: int) -> list[int]:
        """At most ``budget`` token ids: persona first and whole, then the newest turns that fit (context.py)."""
        ...


@dataclass(frozen=True, slots=True)
class ChatModel:
    """Everything that the generator needs of a checkpoint.

    ``max_context`` and ``max_reply`` count tokens. ``fingerprint`` changes with the weights: it guards resumed runs.
    ``languages`` are ISO 639-1 codes the model speaks well enough to be asked.
    """

    name: str
    seq2seq: Seq2Seq
    vocabulary: Vocabulary
    context_format: ContextFormat
    start_id: int
    eos_id: int
    pad_id: int
    max_context: int
    max_reply: int
    defaults: DecodingConfig
    languages: frozenset[str]
    fingerprint: str
