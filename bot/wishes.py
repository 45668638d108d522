"""What a caller may change of a preset's decoding, read from plain values so that it travels between processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from dialogue.decoding.config import DecodingConfig, Strategy

_SAMPLING = (Strategy.SAMPLE, Strategy.SAMPLE_AND_RANK)


@dataclass(frozen=True, slots=True)
class Wishes:
    """``reply_tokens``: the longest reply; ``temperature``, ``top_p``, ``replies`` act where the preset samples."""

    reply_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    replies: int | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> Wishes:
        """The wishes in ``IncomingMessage.options["decoding"]``; names that are not known are left out."""
        given = values or {}
        return cls(**{each.name: given[each.name] for each in fields(cls) if given.get(each.name) is not None})

    def granted(self, config: DecodingConfig) -> DecodingConfig:
        """The preset's decoding with these changes."""
        if self.reply_tokens:
            longest = min(self.reply_tokens, config.max_length)
            config = replace(config, max_length=longest, min_length=min(config.min_length, longest))
        if config.strategy not in _SAMPLING:
            return config
        if self.temperature:
            config = replace(config, temperature=self.temperature)
        if self.top_p:
            config = replace(config, top_p=self.top_p)
        if self.replies and self.replies > config.num_return:
            config = replace(config, num_return=self.replies, samples=max(config.samples, self.replies))
        return config
