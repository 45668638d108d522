"""What a search is asked and what it answers. Values only; the loop is in search.py."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import DecodingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingRequest:
    """One context to answer.

    ``input_ids`` go into the encoder, without padding. ``context_ids`` are the ids whose n-grams
    ``no_repeat_context_ngram`` blocks; None means ``input_ids`` (as transformers' ``encoder_no_repeat_ngram_size``).
    ``banned`` are token sequences that must not appear in the reply. ``id`` tells live requests apart.
    """

    id: int
    input_ids: Sequence[int]
    config: DecodingConfig
    context_ids: Sequence[int] | None = None
    banned: tuple[tuple[int, ...], ...] = ()

    @property
    def blocked_context(self) -> tuple[int, ...]:
        """The ids to block n-grams of; none when the rule is off."""
        if not self.config.no_repeat_context_ngram:
            return ()
        return tuple(self.input_ids if self.context_ids is None else self.context_ids)

    @property
    def seed(self) -> int:
        """The configured seed, or a fresh one each time."""
        return secrets.randbits(62) if self.config.seed is None else self.config.seed


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that is done, with its hypotheses best first; empty only if no token at all was possible."""

    id: int
    hypotheses: list[Hypothesis]
