"""The automatic SSA examined: on held-out halves, on data sets it never saw, and against every single score.

Spearman with people, bootstrapped over contexts or talks. "Chosen" is the best single score of the training side,
"hindsight" the best of the test side itself, which nobody could know.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from eval.offline.autossa import ONLY_SENSIBLE, SENSIBLE, SPECIFIC, TARGETS, Floats, fit, matrix, target
from eval.offline.bootstrap import interval, two_sided
from eval.offline.correlation import Judged, rank_draws, spearman

SINGLES = (*SENSIBLE, "mean_log_prob", "log_prob_alone", "nats_alone", "token_accuracy", "worst_token",
           "near_last_turn", "near_context", "near_own_last", *SPECIFIC, "context_copying",
           "distinct_1_own")  # fmt: skip
FEWEST_TESTED, FEWEST_LEARNT = 12, 30
Row = dict[str, Any]


def usable(judged: Sequence[Judged]) -> list[Judged]:
    """The rated replies with a target and the scores that a head reads: all, or those that need no model."""
    return [
        each
        for each in judged
        if each.rated.dataset in TARGETS
        and math.isfinite(target(each))
        and np.isfinite(matrix([each.scores], _read(each))).all()
    ]


def _read(judged: Judged) -> tuple[str, ...]:
    """Korean sets are judged by the surface: no shipped model speaks Korean."""
    return SPECIFIC if judged.rated.language != "en" else (*SENSIBLE, *SPECIFIC)


def first_half(judged: Judged) -> bool:
    """Whether an item is trained on: by the hash of its context or talk, so that no context is on both sides."""
    key = f"{judged.rated.dataset}/{judged.rated.group}"
    return hashlib.blake2b(key.encode(), digest_size=1).digest()[0] < 128


def examined(judged: Sequence[Judged], *, resamples: int = 1000, seed: int = 0) -> Row:
    """How good the regressor is: on the held-out half of each data set, and on each data set left out of training.

    Rows give Spearman of the regressor and of the best single scores, their paired differences, and the mean absolute
    error; ``against_singles`` the mean over the left-out sets against every single score's.
    """
    known = usable(judged)
    sets = list(dict.fromkeys(each.rated.dataset for each in known))
    train, test = [e for e in known if first_half(e)], [e for e in known if not first_half(e)]
    halves = [_tested(train, _of(test, name), name, resamples, seed) for name in sets]
    others = {name: [each for each in known if each.rated.dataset != name] for name in sets}
    left_out = [_tested(others[name], _of(known, name), name, resamples, seed) for name in sets if len(sets) > 1]
    return {
        "features": {"sensible": list(SENSIBLE), "specific": list(SPECIFIC)}, "trained_on": len(train),
        "tested_on": len(test), "held_out_half": [row for row in halves if row],
        "left_out_set": [row for row in left_out if row],
        "against_singles": _against_singles(known, others, resamples, seed),
    }  # fmt: skip


def _of(judged: Sequence[Judged], name: str) -> list[Judged]:
    return [each for each in judged if each.rated.dataset == name]


def _predicted(train: Sequence[Judged], test: Sequence[Judged], name: str) -> Floats | None:
    model = fit(train) if len(train) >= FEWEST_LEARNT else None
    if model is None or len(test) < FEWEST_TESTED:
        return None
    return model([each.scores for each in test], only_sensible=name in ONLY_SENSIBLE)


def _tested(train: Sequence[Judged], test: Sequence[Judged], name: str, resamples: int, seed: int) -> Row | None:
    predicted = _predicted(train, test, name)
    if predicted is None:
        return None
    truth = np.array([target(each) for each in test])
    groups = [each.rated.group for each in test]
    low, high = interval(rank_draws(predicted, truth, groups, times=resamples, seed=seed))
    row: Row = {"dataset": name, "count": len(test), "groups": len(set(groups)), "low": low, "high": high}
    row |= {"spearman": spearman(predicted, truth), "mean_absolute_error": float(np.abs(predicted - truth).mean())}
    row["error_of_the_mean"] = float(np.abs(truth.mean() - truth).mean())
    for kind, (single, sign) in {"chosen": _best_single(train), "hindsight": _best_single(test)}.items():
        values = _single(test, single, sign)
        if np.isfinite(values).all():
            row[kind] = {"metric": single} | _gain(predicted, values, truth, groups, resamples, seed)
    return row


def _gain(predicted: Floats, values: Floats, truth: Floats, groups: Sequence[str], resamples: int, seed: int) -> Row:
    ours, theirs = (rank_draws(x, truth, groups, times=resamples, seed=seed) for x in (predicted, values))
    low, high = interval(ours - theirs)
    single = spearman(values, truth)
    return {"spearman": single, "difference": spearman(predicted, truth) - single, "low": low, "high": high,
            "p": two_sided(ours - theirs)}  # fmt: skip


def _best_single(judged: Sequence[Judged]) -> tuple[str, float]:
    """The score with the greatest mean rank correlation within the data sets, and its sign."""
    means: dict[str, float] = {}
    for name in SINGLES:
        found = [spearman(*_pairs(_of(judged, own), name)) for own in {each.rated.dataset for each in judged}]
        known = [value if math.isfinite(value) else 0.0 for value in found]
        means[name] = sum(known) / max(len(known), 1)
    best = max(means, key=lambda name: abs(means[name]))
    return best, math.copysign(1.0, means[best])


def _pairs(judged: Sequence[Judged], name: str) -> tuple[Floats, Floats]:
    pairs = [(each.scores.get(name, math.nan), target(each)) for each in judged]
    known = np.array([pair for pair in pairs if math.isfinite(pair[0])], dtype=float).reshape(-1, 2)
    return known[:, 0], known[:, 1]


def _single(judged: Sequence[Judged], name: str, sign: float) -> Floats:
    return sign * matrix([each.scores for each in judged], (name,))[:, 0]


def _against_singles(
    known: Sequence[Judged], others: Mapping[str, Sequence[Judged]], resamples: int, seed: int
) -> list[Row]:
    """Mean Spearman over the left-out sets, minus that of every single score on the sets that it can judge.

    A single score's sign is the better one, chosen with hindsight.
    """
    tested = {name: (_predicted(train, _of(known, name), name), _of(known, name)) for name, train in others.items()}
    rows: list[Row] = []
    for single in SINGLES:
        own: list[Row] = []
        for name, (predicted, test) in tested.items():
            values = _single(test, single, 1.0)
            if predicted is not None and np.isfinite(values).all():
                truth, groups = np.array([target(e) for e in test]), [e.rated.group for e in test]
                ours, theirs = (rank_draws(x, truth, groups, times=resamples, seed=seed) for x in (predicted, values))
                own.append({"name": name, "ours": ours, "theirs": theirs, "truth": truth, "test": (predicted, values)})
        if own:
            rows.append(_mean_gain(single, own))
    return sorted(rows, key=lambda row: float(row["difference"]))


def _mean_gain(single: str, own: Sequence[Row]) -> Row:
    ours = sum(spearman(row["test"][0], row["truth"]) for row in own) / len(own)
    raw = [spearman(row["test"][1], row["truth"]) for row in own]
    theirs = sum(value if math.isfinite(value) else 0.0 for value in raw) / len(own)
    sign = math.copysign(1.0, theirs)
    drawn = sum(row["ours"] - sign * np.nan_to_num(row["theirs"]) for row in own) / len(own)
    low, high = interval(np.asarray(drawn))
    return {"metric": single, "sets": [row["name"] for row in own], "automatic_ssa": ours, "single": abs(theirs),
            "difference": ours - abs(theirs), "low": low, "high": high}  # fmt: skip
