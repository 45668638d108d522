"""From a run's folder to numbers with intervals: what report.json holds. Reads files, runs no model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dialogue.errors import UserError
from eval.offline.bootstrap import Array, Estimate, estimate, jackknife
from eval.offline.items import Item, persona_named
from eval.offline.metrics.table import METRICS, Metric, mean
from eval.offline.records import Scored, scored
from eval.offline.suite import SHIPPED
from eval.offline.tracking import Tracking
from eval.offline.upper_bounds import clopper_pearson

SCHEMA = "chinwag.evaluation/1"


def read_run(folder: Path) -> list[Scored]:
    """Every item of a run with what was computed of it. Raises UserError when the folder holds none."""
    items = [Item(**_tuples(row)) for row in _rows(folder / "items.jsonl")]
    if not items:
        raise UserError(f"{folder} holds no evaluation run; name the folder given to `evaluate run --out`.")
    replies = {str(row["id"]): row for row in _rows(folder / "replies.jsonl")}
    likelihoods = {str(row["id"]): row for row in _rows(folder / "likelihood.jsonl")}
    facts = persona_named(identity(folder).get("persona", "")).facts
    return [scored(item, item.facts or facts, replies.get(item.id), likelihoods.get(item.id)) for item in items]


def identity(folder: Path) -> dict[str, Any]:
    """What a run's results were made with."""
    for name in ("replies", "likelihood"):
        path = folder / f"{name}.jsonl.run.json"
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    raise UserError(f"{folder} holds no evaluation run; name the folder given to `evaluate run --out`.")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if path.is_file():
        for line in path.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                yield json.loads(line)


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def measure(metric: Metric, rows: Sequence[Scored], *, resamples: int, seed: int) -> Estimate:
    """One metric over rows, with its 95% interval over conversations."""
    if metric.whole is not None:
        whole, kept = metric.whole, [row for row in rows if row.reply is not None]
        found = jackknife([row.item.group for row in kept], lambda places: whole([kept[place] for place in places]))
        return _of_one_kind(_share(found))
    parts, groups = parts_of(metric, rows)
    assert metric.combine is not None
    found = estimate(parts, groups, metric.combine, times=resamples, seed=seed)
    return _of_one_kind(found) if metric.combine is mean else found


def _share(found: Estimate) -> Estimate:
    """What is counted over all replies is a share; the jackknife's symmetric interval does not know that."""
    return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def _of_one_kind(found: Estimate) -> Estimate:
    """A rate of which nothing (or nothing else) was seen has no spread to resample: its exact bound over groups."""
    if not found.groups or found.value not in (0.0, 1.0) or found.low != found.high:
        return found
    low, high = clopper_pearson(found.groups * int(found.value), found.groups)
    return replace(found, low=low, high=high)


def parts_of(metric: Metric, rows: Sequence[Scored]) -> tuple[Array, list[str]]:
    """(N, P) sufficient statistics of the rows that the metric speaks of, and their groups."""
    assert metric.parts is not None
    found = [(metric.parts(row), row.item.group) for row in rows]
    known = [(parts, group) for parts, group in found if parts is not None]
    return np.array([parts for parts, _ in known], dtype=float), [group for _, group in known]


def metrics_of(
    names: Sequence[str], rows: Sequence[Scored], *, resamples: int, seed: int, tracking: Tracking
) -> dict[str, Any]:
    """Every metric: what it is, its value overall and by source, and how well it tracks people."""
    sources = list(dict.fromkeys(row.item.source for row in rows))
    found: dict[str, Any] = {}
    for name in names:
        metric = METRICS[name]
        overall = measure(metric, rows, resamples=resamples, seed=seed)
        if not overall.count:
            continue
        by_source = {
            source: measure(metric, own, resamples=resamples, seed=seed)
            for source in sources
            if (own := [row for row in rows if row.item.source == source])
        }
        found[name] = {
            "what": metric.what, "source": metric.source, "better": metric.better, "overall": overall.as_dict(),
            "by_source": {source: value.as_dict() for source, value in by_source.items() if value.count},
            "tracking": tracking.best(name),
        }  # fmt: skip
    return found


def latency(rows: Sequence[Scored]) -> dict[str, float]:
    """Quantiles of the seconds of a reply; batches share the machine, so this is not what one person waits."""
    seconds = [row.seconds for row in rows if row.reply is not None]
    return {f"p{q}": float(np.percentile(seconds, q)) for q in (50, 90, 99)} if seconds else {}


def actions(folder: Path) -> dict[str, int]:
    """How often each kind of answer and each safety action occurred."""
    counts: dict[str, int] = {}
    for row in _rows(folder / "replies.jsonl"):
        for key in (f"source:{row['source']}", f"action:{row['action']}"):
            counts[key] = counts.get(key, 0) + 1
    return dict(sorted(counts.items()))


def quotable(row: Scored) -> bool:
    """Whether a context is the program's own words, that any report may print."""
    return row.item.source in {path.stem for path in SHIPPED.glob("*.jsonl")}


def examples(rows: Sequence[Scored], count: int = 12, *, quote: bool = True) -> list[dict[str, Any]]:
    """An even spread of contexts with their replies and a human answer, to be read by people; without ``quote`` only
    contexts that are the program's own.
    """
    kept = [row for row in rows if row.reply is not None and (quote or quotable(row))]
    count = min(count, len(kept))
    return [
        {
            "id": row.item.id, "context": list(row.item.context), "reply": row.reply, "from": row.reply_source,
            "human": row.item.references[0] if row.item.references else None,
        }
        for row in (kept[int(place * len(kept) / count)] for place in range(count))
    ]  # fmt: skip
