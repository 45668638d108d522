"""Pairs of whole conversations: win rates, binomial tests and Bradley-Terry strengths.

Sources: Li, Weston and Roller 2019 (ACUTE-Eval); Bradley and Terry 1952; strengths are fitted by evalica.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from eval.ssa.votes import Floats


@dataclass(frozen=True, slots=True)
class Choice:
    """One rater's choice between two systems. ``item`` names the pair of conversations that was shown."""

    first: str
    second: str
    first_won: bool
    item: str
    rater: str = ""


@dataclass(frozen=True, slots=True)
class Duel:
    """How often one system won against another: exact interval (Clopper and Pearson) and two-sided binomial test."""

    first: str
    second: str
    wins: int
    n: int
    low: float
    high: float
    p: float

    @property
    def rate(self) -> float:
        """Share of the choices that the first system won."""
        return self.wins / self.n


@dataclass(frozen=True, slots=True)
class Strength:
    """Bradley-Terry strength on the log scale (mean 0): a beats b with probability 1 / (1 + exp(b - a))."""

    system: str
    strength: float
    low: float
    high: float


def duels(choices: Sequence[Choice]) -> list[Duel]:
    """Every pair of systems that met. Repeated choices on one pair of conversations are settled by majority first."""
    settled = settle(choices)
    found = []
    systems = sorted({name for choice in settled for name in (choice.first, choice.second)})
    for first, second in itertools.combinations(systems, 2):
        met = [choice for choice in settled if {choice.first, choice.second} == {first, second}]
        if met:
            wins = sum(choice.first_won == (choice.first == first) for choice in met)
            test = stats.binomtest(wins, len(met))
            interval = test.proportion_ci(0.95, method="exact")
            found.append(
                Duel(first, second, wins, len(met), float(interval.low), float(interval.high), float(test.pvalue))
            )
    return found


def settle(choices: Sequence[Choice]) -> list[Choice]:
    """One choice per pair of conversations: the majority of its raters; a tie counts for nobody and is left out.

    The tests of ``duels`` need independent choices, and raters of one pair of conversations are not independent.
    """
    groups: dict[str, list[Choice]] = {}
    for choice in choices:
        groups.setdefault(choice.item, []).append(choice)
    kept = []
    for group in groups.values():
        first = group[0].first
        votes = sum(choice.first_won == (choice.first == first) for choice in group)
        if 2 * votes != len(group):
            kept.append(Choice(first, group[0].second, 2 * votes > len(group), group[0].item))
    return kept


def strengths(choices: Sequence[Choice], *, draws: int = 500, seed: int = 0) -> list[Strength]:
    """Strengths, strongest first, with percentile intervals over resampled pairs of conversations.

    Half a win each way is added between systems that met, so that a system that won everything stays finite.
    """
    items: dict[str, list[Choice]] = {}
    for choice in choices:
        items.setdefault(choice.item, []).append(choice)
    groups = list(items.values())
    systems = sorted({name for choice in choices for name in (choice.first, choice.second)})
    if len(systems) < 2:
        return []
    counts = np.array([_wins(group, systems) for group in groups])
    prior = 0.5 * (counts.sum(axis=0) + counts.sum(axis=0).T > 0)
    best = _fit(counts.sum(axis=0) + prior)
    random = np.random.default_rng(seed)
    weights = random.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=draws)
    fits = np.array([_fit(np.tensordot(row, counts, axes=1) + prior) for row in weights])
    low, high = np.percentile(fits, [2.5, 97.5], axis=0)
    found = [Strength(name, float(best[i]), float(low[i]), float(high[i])) for i, name in enumerate(systems)]
    return sorted(found, key=lambda one: -one.strength)


def _wins(choices: Sequence[Choice], systems: Sequence[str]) -> Floats:
    """(systems, systems): how often the row won against the column."""
    wins = np.zeros((len(systems), len(systems)))
    for choice in choices:
        winner, loser = (choice.first, choice.second) if choice.first_won else (choice.second, choice.first)
        wins[systems.index(winner), systems.index(loser)] += 1
    return wins


def _fit(wins: Floats) -> Floats:
    """(systems,) log strengths with mean 0, from wins of row over column."""
    import evalica

    rows, columns = np.nonzero(wins)
    result = evalica.bradley_terry(
        [str(i) for i in rows],
        [str(j) for j in columns],
        [evalica.Winner.X] * len(rows),
        weights=[float(wins[i, j]) for i, j in zip(rows, columns, strict=True)],
        tolerance=1e-8,
        limit=10_000,
    )
    scores = np.log(np.array([float(result.scores[str(i)]) for i in range(len(wins))]))
    centred: Floats = scores - scores.mean()
    return centred
