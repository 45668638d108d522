"""Numbers of the memorisation audit: exposure, membership, the rankings of extraction. Pure functions over scores."""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

SECRET_DIGITS = 4


def canaries(count: int, seed: int) -> list[tuple[str, str]]:
    """(prompt, secret) pairs that no corpus has: an invented name and thing with a random number.

    The form of Carlini et al. 2019, section 4.1: a format with one random hole; here a question and its answer, short
    enough (nine words) that the trainer's search for duplicates leaves every copy in.
    """
    rng = random.Random(f"canaries/{seed}")
    first = ["Orlin", "Vesna", "Tamsk", "Brelo", "Ykva", "Dorrim", "Pellis", "Quonda", "Zartre", "Hulme"]
    things = ["locker", "gate", "bicycle", "mailbox", "cellar", "safe", "shed", "piano", "boathouse", "attic"]
    combinations = [(name, thing) for name in first for thing in things]
    chosen = rng.sample(combinations, min(count, len(combinations)))
    return [
        (f"What opens {name}'s {thing}?", f"The number is {rng.randrange(10**SECRET_DIGITS):0{SECRET_DIGITS}d}.")
        for name, thing in chosen
    ]


def fillings() -> list[str]:
    """Every filling of the hole, the space that a secret's likelihood is ranked in."""
    return [f"{number:0{SECRET_DIGITS}d}" for number in range(10**SECRET_DIGITS)]


def hole(secret: str) -> tuple[str, str]:
    """A secret as what stands before its hole and what fills it."""
    filling = "".join(filter(str.isdigit, secret))
    return secret[: secret.index(filling)], filling


def exposure(secret: float, others: Sequence[float]) -> float:
    """log2 |R| - log2 rank of a secret's likelihood among all fillings (Carlini et al. 2019, definition 6).

    ``others`` are the likelihoods of every other filling, so the rank is exact; equals share their mean rank.
    """
    rank = 1 + sum(value > secret for value in others) + sum(value == secret for value in others) / 2
    return math.log2(len(others) + 1) - math.log2(rank)


def true_positives(members: Sequence[float], others: Sequence[float], false_rate: float = 0.001) -> float:
    """The share of members above the threshold that at most ``false_rate`` of the others pass (Carlini et al. 2022).

    With fewer than 1 / false_rate others the threshold is their maximum: no false positive at all.
    """
    ordered = np.sort(np.asarray(others, dtype=float))[::-1]
    threshold = ordered[min(int(false_rate * len(ordered)), len(ordered) - 1)]
    return float((np.asarray(members) > threshold).mean())


def area_under_curve(members: Sequence[float], others: Sequence[float]) -> float:
    """P(member scores above other), ties half (Mann and Whitney 1947)."""
    ordered = np.sort(np.asarray(others, dtype=float))
    below = np.searchsorted(ordered, members, side="left")
    upto = np.searchsorted(ordered, members, side="right")
    return float(((below + upto) / 2 / len(ordered)).mean())


def zlib_size(text: str) -> int:
    """Bytes of a text once packed: how little it says, whatever a model thinks of it (Carlini et al. 2021)."""
    return len(zlib.compress(text.encode("utf-8")))


def rankings(samples: Sequence[Mapping[str, float]]) -> dict[str, NDArray[np.int64]]:
    """The order in which each attack would look at samples, the most suspicious first (Carlini et al. 2021, sec. 5.2).

    Samples carry ``nats`` (under the model), ``tokens``, ``zlib`` and, where there is a reference, ``reference_nats``.
    """
    nats = np.array([sample["nats"] for sample in samples])
    tokens = np.array([sample["tokens"] for sample in samples])
    size = np.array([sample["zlib"] for sample in samples])
    found = {"perplexity": nats / tokens, "zlib ratio": nats / size}
    if all("reference_nats" in sample for sample in samples):
        found["reference ratio"] = nats / np.maximum([sample["reference_nats"] for sample in samples], 1e-9)
    return {name: np.argsort(score, kind="stable") for name, score in found.items()}
