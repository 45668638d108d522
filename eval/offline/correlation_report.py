"""The report on how well the metrics track people: ``correlations.html``, ``.md`` and ``.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dialogue.models.chat_model import ChatModel
from eval.offline.autossa import restored
from eval.offline.correlate import correlated, judge
from eval.offline.jsonl import sha256
from eval.offline.metrics.table import METRICS
from eval.offline.provenance import provenance
from eval.offline.ratings import Exchange, Rated
from eval.offline.reply_scores import Scorer
from eval.offline.results import SCHEMA, identity, measure, read_run
from eval.offline.word_meaning import base_meaning
from eval.plots import heat, intervals, points
from eval.report import Block, Heading, Plot, Table, Text, number, origin, write_report

USR = "USR (Mehri and Eskenazi 2020) reports Spearman 0.42 (Topical-Chat) and 0.48 (Persona-Chat) on its own data."


def make_correlation_report(
    rated: Sequence[Rated],
    files: Sequence[Path],
    model: ChatModel | None,
    out: Path,
    runs: Sequence[Path],
    *,
    resamples: int,
    seed: int,
    on_done: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Score, correlate, examine the automatic SSA, write; the data of ``correlations.json``."""
    judged = judge(rated, model, base_meaning if model is not None else None, out, on_done)
    data: dict[str, Any] = {
        "schema": SCHEMA, "kind": "correlations", "model": model.name if model else None,
        "fingerprint": model.fingerprint if model else None, "seed": seed, "resamples": resamples,
        "data_sha256": {path.name: sha256(path) for path in files}, "provenance": provenance(),
        "counts": dict(Counter(each.dataset for each in rated)),
    }  # fmt: skip
    data |= correlated(judged, resamples=resamples, seed=seed)
    if runs and model is not None and "automatic_ssa" in data:
        data["perplexity_and_ssa"] = perplexity_and_ssa(runs, model, data["automatic_ssa"]["model"])
    write_report(out, "correlations", "Do the metrics track people?", data, blocks_of(data))
    return data


def perplexity_and_ssa(runs: Sequence[Path], model: ChatModel, regressor: Mapping[str, Any]) -> dict[str, Any]:
    """Perplexity per word on human answers against the mean automatic SSA of replies, run by run, and R² of a line.

    After Adiwardana et al. 2020, figure 1, with an automatic SSA in place of people's.
    """
    rows = [_point(folder, model, regressor) for folder in runs]
    count = Counter(row["run"] for row in rows)
    for row, folder in zip(rows, runs, strict=True):
        if count[row["run"]] > 1:  # two checkpoints of one model
            row["run"] += f" ({folder.absolute().name})"
    return {"runs": rows, "r_squared": _r_squared(rows)}


def _point(folder: Path, model: ChatModel, regressor: Mapping[str, Any]) -> dict[str, Any]:
    kept = [row for row in read_run(folder) if row.reply]
    exchanges = [Exchange(row.item.context, row.reply or "") for row in kept]
    meaning = base_meaning([text for e in exchanges for text in (e.context[-1], e.reply)])
    values = restored(regressor)(Scorer(model, meaning).scores(exchanges))
    perplexity = measure(METRICS["perplexity_per_word"], kept, resamples=200, seed=0)
    made = identity(folder)
    name = f"{made['model']}{' ' + made['preset'] if made['preset'] else ''}"
    return {
        "run": name,
        "perplexity_per_word": perplexity.value,
        "automatic_ssa": float(values.mean()),
        "count": len(kept),
    }


def _r_squared(rows: Sequence[Mapping[str, Any]]) -> float | None:
    import math

    import numpy as np

    from eval.offline.correlation import pearson

    if len(rows) < 3:
        return None
    r = pearson(np.log([row["perplexity_per_word"] for row in rows]), np.array([row["automatic_ssa"] for row in rows]))
    return r * r if math.isfinite(r) else None


def blocks_of(data: Mapping[str, Any]) -> list[Block]:
    """The document."""
    main = [row for row in data["correlations"] if row["main_label"] and row["spearman"] is not None]
    return [
        *_head(data),
        *_overview(main),
        *_ssa(data),
        *_checkpoints(data),
        *_main_table(main),
        *_all(data),
        *_origin(data),
    ]


def _head(data: Mapping[str, Any]) -> list[Block]:
    counts = ", ".join(f"{name} {count}" for name, count in data["counts"].items())
    return [
        Text(
            "Every score of a reply (or its mean over the replies of a talk) against what people said of it. "
            f"Likelihoods by {data['model'] or 'no model'}. Items: {counts}. Intervals: bootstrap over "
            f"contexts or talks, {data['resamples']} resamples; p of Spearman adjusted by Holm "
            "over all tests on main labels, and over all others."
        )
    ]  # fmt: skip


def _overview(main: Sequence[Mapping[str, Any]]) -> list[Block]:
    table: dict[str, dict[str, float]] = {}
    for row in main:
        table.setdefault(row["metric"], {})[f"{row['dataset']}: {row['label']}"] = row["spearman"]
    words = "Spearman correlation of every score with each data set's main label"
    return [Heading("At a glance"), Plot(heat(table, words), words)] if table else []


def _ssa(data: Mapping[str, Any]) -> list[Block]:
    found = data.get("automatic_ssa")
    if not found:
        return []
    rows = [("held-out half", row) for row in found["held_out_half"]]
    rows += [("data set never seen", row) for row in found["left_out_set"]]
    columns = ["tested on", "data set", "n", "groups", "automatic SSA", "mean error",
               "best single score (chosen in training)", "gain", "best single score (hindsight)", "gain"]  # fmt: skip
    lines = [
        [kind, row["dataset"], str(row["count"]), str(row["groups"]), _value(row),
         number(row["mean_absolute_error"], 2), *_single(row.get("chosen")), *_single(row.get("hindsight"))]
        for kind, row in rows
    ]  # fmt: skip
    picture = [(f"{row['dataset']} ({kind})", row["spearman"], row["low"], row["high"]) for kind, row in rows]
    words = "Spearman of the automatic SSA with people, with 95% intervals"
    features = found["features"]
    return [
        Heading("Automatic SSA"),
        Text(
            f"Two ridge regressions, halves of one value: sensible from {', '.join(features['sensible'])}; specific "
            f"from {', '.join(features['specific'])}. Learnt from SSA's parts where these were asked (FED, HuLiC) or "
            "from the nearest label (GRADE: coherence, DailyDialog ratings: overall; these examine the first half "
            "alone), standardised within a set. Mean error is on the label's scale brought to 0–1. “Hindsight” picks "
            "the single score that happens to be best on the test side itself, which nobody could know. The features "
            "were chosen by people who had seen the correlations of these sets: another set may show less. "
            f"{USR}"
        ),
        Plot(intervals(picture, "Spearman"), words),
        Table(columns, lines),
        *_against(found["against_singles"]),
    ]


def _against(rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    beaten = sum(row["low"] > 0 for row in rows)
    lines = [
        [row["metric"], str(len(row["sets"])), number(row["automatic_ssa"], 2), number(row["single"], 2),
         f"{row['difference']:+.2f} [{number(row['low'], 2)}, {number(row['high'], 2)}]"]
        for row in rows
    ]  # fmt: skip
    columns = [
        "single score",
        "sets it can judge",
        "automatic SSA",
        "single score, its sign by hindsight",
        "gain [95%]",
    ]
    return [
        Text(
            "Mean Spearman over the sets left out of training, against every single score on the sets that it can "
            f"judge: ahead of {sum(row['difference'] > 0 for row in rows)} of {len(rows)}, of these {beaten} with an "
            "interval above 0."
        ),
        Table(columns, lines),
    ]


def _value(row: Mapping[str, Any]) -> str:
    return f"{number(row['spearman'], 2)} [{number(row['low'], 2)}, {number(row['high'], 2)}]"


def _single(row: Mapping[str, Any] | None) -> list[str]:
    if row is None:
        return ["–", "–"]
    gain = f"{row['difference']:+.2f} [{number(row['low'], 2)}, {number(row['high'], 2)}]"
    return [f"{row['metric']} {number(row['spearman'], 2)}", gain]


def _checkpoints(data: Mapping[str, Any]) -> list[Block]:
    found = data.get("perplexity_and_ssa")
    if not found:
        return []
    rows = [
        [r["run"], number(r["perplexity_per_word"]), number(r["automatic_ssa"]), str(r["count"])] for r in found["runs"]
    ]
    places = [(r["run"], r["perplexity_per_word"], r["automatic_ssa"]) for r in found["runs"]]
    words = "perplexity per word of human answers against the mean automatic SSA of the model's replies"
    return [
        Heading("Perplexity against automatic SSA"),
        Text(
            f"R² of log perplexity: {number(found['r_squared'], 2)} over {len(rows)} runs (Meena: 0.93 over its own)."
        ),
        Plot(points(places, "perplexity per word", "automatic SSA"), words),
        Table(["run", "perplexity per word", "automatic SSA", "replies"], rows),
    ]


def _main_table(main: Sequence[Mapping[str, Any]]) -> list[Block]:
    return [Heading("Main labels"), _table(main)]


def _all(data: Mapping[str, Any]) -> list[Block]:
    others = [r for r in data["correlations"] if not r["main_label"] and r["spearman"] is not None]
    strongest: list[Mapping[str, Any]] = []
    for key in dict.fromkeys((row["dataset"], row["label"]) for row in others):
        strongest += [row for row in others if (row["dataset"], row["label"]) == key][:3]
    return [Heading("Other labels: the three strongest scores of each"), _table(strongest)] if strongest else []


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["data set", "label", "score", "Spearman [95%]", "Pearson", "Kendall", "n", "groups", "p (Holm)"]
    lines = [
        [row["dataset"], row["label"], row["metric"], _value(row), number(row["pearson"], 2), number(row["kendall"], 2),
         str(row["count"]), str(row["groups"]), number(row["p_holm"])]
        for row in rows
    ]  # fmt: skip
    return Table(columns, lines)


def _origin(data: Mapping[str, Any]) -> list[Block]:
    hashes = [[f"SHA-256 of {name}", mark] for name, mark in data["data_sha256"].items()]
    return origin(data["provenance"], [["seed", str(data["seed"])], *hashes])
