"""Likelihood as numbers that can be compared: nats over tokens, over words, over bytes; and guessing the next token.

All take sums over replies, so the value of a corpus is that of its sums. Perplexity per token compares only models
of one vocabulary; per word and bits per byte compare any two (Jelinek et al. 1977; Gao et al. 2020, "The Pile", 3.1).
"""

from __future__ import annotations

import math


def per_token(nats: float, tokens: float) -> float:
    """exp(nats / tokens), the end of the reply counted as a token; nan without tokens."""
    return math.exp(min(nats / tokens, 700.0)) if tokens else math.nan


def per_word(nats: float, words: float) -> float:
    """exp(nats / words), words separated by white space; nan without words."""
    return math.exp(min(nats / words, 700.0)) if words else math.nan


def bits_per_byte(nats: float, size: float) -> float:
    """Bits for each byte of the reply in UTF-8; nan without bytes."""
    return nats / math.log(2) / size if size else math.nan


def token_accuracy(right: float, tokens: float) -> float:
    """The share of tokens that the model would have chosen, reading the human reply up to them; nan without tokens."""
    return right / tokens if tokens else math.nan


def share(part: float, whole: float) -> float:
    """part / whole; nan where there is nothing."""
    return part / whole if whole else math.nan
