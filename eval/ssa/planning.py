"""The power planner: how many conversations, replies and raters it takes to tell two systems apart.

The model, exact up to Student's t for the mean: a reply is truly not sensible, sensible, or sensible and specific;
conversations differ (intraclass correlation ``icc``: Dirichlet-multinomial); a rater gives each of the two labels
wrongly with probability ``slip``; the majority decides. Slips do not only add noise, they pull the two systems' rates
together, and more raters undo that: this is why raters matter at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from eval.ssa.votes import Floats

SCORES = np.array([0.0, 0.5, 1.0])
"""The reply's part of the SSA: not sensible, sensible, sensible and specific."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What one expects. ``sensible``, ``specific``: true rates of the weaker system; ``difference``: of the SSA."""

    sensible: float = 0.75
    specific: float = 0.55
    difference: float = 0.03
    slip: float = 0.1
    icc: float = 0.1
    replies_per_conversation: int = 7
    level: float = 0.95

    def rates(self) -> tuple[Floats, Floats]:
        """(3,) true shares of the three kinds of reply, for the weaker and the stronger system.

        ValueError where the difference does not fit between the rates and 1.
        """
        if not 0 <= self.specific <= self.sensible <= 1:
            raise ValueError("specific cannot be more frequent than sensible, and both are between 0 and 1")
        if self.sensible + self.difference > 1:
            raise ValueError("the stronger system would be sensible more than always; expect a smaller difference")
        return tuple(
            np.array([1 - s, s - c, c])
            for s, c in (
                (self.sensible, self.specific),
                (self.sensible + self.difference, self.specific + self.difference),
            )
        )  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to do it, for each of the two systems; ``clicks`` are all the ratings of one system."""

    raters: int
    conversations: int
    replies: int
    clicks: int
    power: float
    design_effect: float


def seen(slip: float, raters: int) -> Floats:
    """(3, 3): how probable each settled kind of reply is (column) when the reply truly is of a kind (row)."""
    table = np.zeros((3, 3))
    for kind in range(3):
        one = _one_rater(kind, slip)
        for counts, probability in _counts(one, raters):
            sensible = 2 * (counts[1] + counts[2]) > raters
            specific = 2 * counts[2] > raters
            table[kind, int(sensible) + int(sensible and specific)] += probability
    return table


def _one_rater(kind: int, slip: float) -> Floats:
    """(3,) answers of one rater about a reply of a true kind; specific is asked only where sensible was said."""
    sensible = 1 - slip if kind >= 1 else slip
    specific = 1 - slip if kind == 2 else slip
    return np.array([1 - sensible, sensible * (1 - specific), sensible * specific])


def _counts(one: Floats, raters: int) -> list[tuple[tuple[int, int, int], float]]:
    found = []
    for none, sense in product(range(raters + 1), repeat=2):
        if none + sense <= raters:
            counts = (none, sense, raters - none - sense)
            found.append((counts, float(stats.multinomial.pmf(counts, raters, one))))
    return found


def power(assumed: Assumptions, conversations: int, raters: int) -> float:
    """The chance that a two-sided test at this size, clustered by conversation, sees the difference.

    ``conversations`` of each system.
    """
    weaker, stronger = assumed.rates()
    gap, variance = 0.0, 0.0
    for sign, truth in ((-1, weaker), (1, stronger)):
        mean, spread = _seen_mean(assumed, truth, raters)
        gap += sign * mean
        variance += spread / conversations
    if conversations < 2 or variance == 0:
        return float("nan")
    freedom = 2 * (conversations - 1)
    limit = float(stats.t.ppf((1 + assumed.level) / 2, freedom))
    shift = gap / math.sqrt(variance)
    exact = float(stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift))
    return exact if math.isfinite(exact) else float(stats.norm.sf(limit - shift))  # far out scipy's nct gives up


def _seen_mean(assumed: Assumptions, truth: Floats, raters: int) -> tuple[float, float]:
    """Mean settled score, and the variance of a conversation's mean around it."""
    table = seen(assumed.slip, raters)
    shares = truth @ table
    mean = float(shares @ SCORES)
    of_a_reply = float(shares @ SCORES**2) - mean**2
    values = table @ SCORES
    between = assumed.icc * (float(truth @ values**2) - float(truth @ values) ** 2)
    size = assumed.replies_per_conversation
    return mean, (of_a_reply + (size - 1) * between) / size


def design_effect(assumed: Assumptions, raters: int) -> float:
    """How many times the variance of independent replies the clustered mean has."""
    truth = assumed.rates()[0]
    shares = truth @ seen(assumed.slip, raters)
    mean = float(shares @ SCORES)
    of_a_reply = float(shares @ SCORES**2) - mean**2
    return _seen_mean(assumed, truth, raters)[1] * assumed.replies_per_conversation / of_a_reply


def conversations_needed(assumed: Assumptions, raters: int, wanted: float = 0.8, most: int = 200_000) -> int | None:
    """The fewest conversations per system that reach the wanted power; None where even ``most`` do not."""
    low, high = 2, 4
    while power(assumed, high, raters) < wanted:
        low, high = high, high * 2
        if high > most:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if power(assumed, middle, raters) < wanted else (low, middle)
    return high


def plans(assumed: Assumptions, wanted: float = 0.8, raters: Sequence[int] = (1, 3, 5, 7)) -> list[Plan]:
    """What it takes with so many raters a reply; those that cannot reach the wanted power are left out."""
    found = []
    for count in raters:
        needed = conversations_needed(assumed, count, wanted)
        if needed is not None:
            replies = needed * assumed.replies_per_conversation
            effect = design_effect(assumed, count)
            found.append(Plan(count, needed, replies, replies * count, power(assumed, needed, count), effect))
    return found


def slip_from_alpha(alpha: float, rate: float) -> float:
    """The slip that would give this Krippendorff alpha on a label of this observed rate; 0 … 0.5.

    Two raters of one reply differ with probability 2 slip (1 - slip); chance alone makes 2 rate (1 - rate).
    """
    rate = min(max(rate, 1e-6), 1 - 1e-6)
    apart = (1 - alpha) * 2 * rate * (1 - rate)
    return 0.5 if apart >= 0.5 else float(0.5 - math.sqrt(0.25 - apart / 2))


def smallest_difference(assumed: Assumptions, conversations: int, raters: int, wanted: float = 0.8) -> float | None:
    """The SSA difference that a study of this size sees with the wanted power; None where there is none."""

    def short(difference: float) -> float:
        return power(replace(assumed, difference=difference), conversations, raters) - wanted

    room = 1 - assumed.sensible
    if room <= 1e-4 or short(room) < 0:
        return None
    return float(optimize.brentq(short, 1e-6, room, xtol=1e-4))


def simulate(
    assumed: Assumptions, conversations: int, raters: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(conversations, replies) settled scores of one simulated study, for the weaker and the stronger system."""
    weaker, stronger = (_simulated(assumed, truth, conversations, raters, random) for truth in assumed.rates())
    return weaker, stronger


def _simulated(
    assumed: Assumptions, truth: Floats, conversations: int, raters: int, random: np.random.Generator
) -> NDArray[np.float64]:
    if assumed.icc > 0:
        shares = random.dirichlet(np.maximum(truth, 1e-9) * (1 - assumed.icc) / assumed.icc, size=conversations)
    else:
        shares = np.tile(truth, (conversations, 1))
    size = (conversations, assumed.replies_per_conversation)
    kinds = (random.random(size)[..., None] > np.cumsum(shares, axis=1)[:, None, :2]).sum(axis=-1)
    wrong = random.random((2, *size, raters)) < assumed.slip
    sensible = (kinds[..., None] >= 1) ^ wrong[0]
    specific = sensible & ((kinds[..., None] == 2) ^ wrong[1])
    sensibles = 2 * sensible.sum(axis=-1) > raters
    specifics = sensibles & (2 * specific.sum(axis=-1) > raters)
    scores: NDArray[np.float64] = (sensibles.astype(float) + specifics) / 2
    return scores
