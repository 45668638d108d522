"""Texts as hashed n-gram features for the linear model: the same code in training and at run time. NumPy only.

Namespaces of a text: words and word pairs; characters (2 to 5, blanks included); for Korean also the letters inside
syllables (3 to 6). Of a reply given what it answers: its words in ones, twos and threes; its characters; the words
before; and both sides joined, with the categories of the rule lists. Hashing follows Weinberger et al. 2009 (feature
hashing), without the sign.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from safety import hangul, lexicons

BITS = 20
CONTEXT_BITS = 19
MAX_CHARS = 1000
"""Longer texts are judged in pieces of this many characters; see detectors/linear.py."""

Indices = NDArray[np.uint32]
_WORDS = re.compile(r"[a-z0-9']+|[가-힣ㄱ-ㅣ]+|[!?]+|[^\s\w]")
_STRETCHED = re.compile(r"(.)\1{2,}")
_MASKS = re.compile(r"\[(?:email|url|user|ip|phone)\]")


def prepare(text: str) -> str:
    """Folded text as the model reads it: masks gone, stretched signs shortened to two, blanks collapsed."""
    return " ".join(_STRETCHED.sub(r"\1\1", _MASKS.sub(" ", text)).split())


def words(text: str) -> list[str]:
    """The words of prepared text, in order."""
    return _WORDS.findall(text)


def _mixed(hashes: NDArray[np.uint32], seed: int, bits: int) -> Indices:
    """A final mix of bits (the finaliser of MurmurHash3), then the lowest ``bits``."""
    h = hashes ^ np.uint32(seed)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x85EBCA6B)
    h ^= h >> np.uint32(13)
    h *= np.uint32(0xC2B2AE35)
    h ^= h >> np.uint32(16)
    return h & np.uint32((1 << bits) - 1)


def ngrams(text: str, shortest: int, longest: int, seed: int) -> list[NDArray[np.uint32]]:
    """Unmixed hashes of all character n-grams, one array per length: (len(text) - n + 1,) each."""
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32) * np.uint32(0x9E3779B1)
    hashes = codes
    out: list[NDArray[np.uint32]] = []
    for n in range(2, min(longest, len(codes)) + 1):
        hashes = hashes[:-1] * np.uint32(0x01000193) + codes[n - 1 :]
        if n >= shortest:
            out.append(hashes ^ np.uint32(seed + n))
    return out


def hashed(items: Iterable[str], seed: int, bits: int) -> Indices:
    """Buckets of whole strings."""
    codes = np.fromiter((zlib.crc32(item.encode("utf-8", "replace")) for item in items), dtype=np.uint32)
    return _mixed(codes, seed, bits)


def word_features(tokens: Sequence[str], bits: int = BITS, *, longest: int = 2, seed: int = 101) -> Indices:
    """Buckets of words and of neighbouring pairs, or threes."""
    grams = [" ".join(tokens[at : at + n]) for n in range(2, longest + 1) for at in range(len(tokens) - n + 1)]
    return hashed([*tokens, *grams], seed, bits)


def char_features(text: str, bits: int = BITS) -> Indices:
    """Buckets of character n-grams; repeats count."""
    return _mixed(np.concatenate(ngrams(f" {text} ", 2, 5, 211)), 0, bits)


def letter_features(text: str) -> Indices:
    """Buckets of n-grams of the letters inside Korean syllables; none where the text has no Hangul."""
    if not lexicons.hangul(text):
        return np.empty(0, np.uint32)
    return _mixed(np.concatenate(ngrams(hangul.decompose(f" {text} "), 3, 6, 307)), 0, BITS)


def rule_features(hits: Iterable[lexicons.Hit]) -> list[str]:
    """What the rule lists see: "hate 3" and the like, each once, in order of the alphabet.

    Rules for emergencies are left out: no corpus labels them, so that the weights know nothing of them.
    """
    return sorted({f"{hit.category} {hit.severity}" for hit in hits if hit.source != "emergency"})


def context_features(
    reply: Sequence[str], text: str, before: Sequence[str], reply_rules: Sequence[str], rules: Sequence[str]
) -> tuple[Indices, ...]:
    """Buckets by namespace for a reply (its words and prepared text) given the words and rules of what it answers."""
    once = set(before)
    items = [f"c:{word}" for word in once]
    items += [f"cp:{a} {b}" for a, b in pairwise(before)]
    items += [f"cr:{rule}" for rule in rules]
    items += [f"r:{word}" for word in reply]
    items += [f"rp:{a} {b}" for a, b in pairwise(reply)]
    items += [f"x:{rule}|{word}" for rule in (rules or ["none"]) for word in reply[:40]]
    items += [f"first:{reply[0]}|{word}" for word in once] if reply else []
    items += [f"rr:{a}|{b}" for a in (reply_rules or ["none"]) for b in (rules or ["none"])]
    items += [f"both:{word}" for word in once.intersection(reply)]
    return (
        hashed(sorted(set(items)), 401, CONTEXT_BITS),
        word_features(reply, CONTEXT_BITS, longest=3, seed=503),
        char_features(text, CONTEXT_BITS),
        word_features(before, CONTEXT_BITS, seed=607),
    )
