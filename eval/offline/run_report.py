"""The report on one run: what was asked, every number with its interval, how far it can be trusted, what it cost."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval.offline.provenance import provenance
from eval.offline.results import SCHEMA, actions, examples, latency, metrics_of, read_run
from eval.offline.suite import Suite
from eval.offline.tracking import Tracking
from eval.report import Block, Heading, Table, Talk, Text, number, origin, with_interval, write_report

ARROW = {"higher": "higher is better", "lower": "lower is better", "neither": ""}


def report_run(
    folder: Path, suite: Suite, made: Mapping[str, Any], tracking: Tracking, *, quote: bool = True
) -> dict[str, Any]:
    """Write ``report.json``, ``report.md`` and ``report.html`` into a run's folder; the data of the first."""
    rows = read_run(folder)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "run",
        "model": made["model"],
        "made_by": {name: value for name, value in made.items() if name not in ("cost", "hashes")},
        "suite": suite.as_dict(),
        "data_sha256": made["hashes"],
        "provenance": provenance(),
        "counts": {
            "items": len(rows),
            "conversations": len({row.item.group for row in rows}),
            "replies": sum(row.reply is not None for row in rows),
            "scored": sum(bool(row.references) for row in rows),
        },
        "metrics": metrics_of(suite.metrics, rows, resamples=suite.resamples, seed=made["seed"], tracking=tracking),
        "latency_s": latency(rows),
        "actions": actions(folder),
        "cost": made["cost"],
        "examples": examples(rows, quote=quote),
    }
    write_report(folder, "report", f"{data['model']} on the suite “{suite.name}”", data, blocks_of(data))
    return data


def blocks_of(data: Mapping[str, Any]) -> list[Block]:
    """The document."""
    return [
        *_head(data),
        *_numbers(data),
        *_by_source(data),
        *_cost(data),
        *_examples(data),
        *_trust(data),
        *_origin(data),
    ]


def _head(data: Mapping[str, Any]) -> list[Block]:
    counts, made = data["counts"], data["made_by"]
    return [
        Text(data["suite"]["about"]),
        Text(
            f"Model {data['model']} (fingerprint {made['fingerprint']}), decoding preset "
            f"{made['preset'] or 'the model’s own'} ({made['decoding']['strategy']}), persona "
            f"{made['persona'] or 'none'}, seed {made['seed']}. {counts['items']} contexts from "
            f"{counts['conversations']} conversations; {counts['replies']} replies, {counts['scored']} scored."
        ),
    ]


def _numbers(data: Mapping[str, Any]) -> list[Block]:
    rows = [[name, *_number_row(found)] for name, found in data["metrics"].items()]
    columns = ["metric", "value [95% interval]", "n", "tracks people", "", "what", "source"]
    return [
        Heading("Numbers"),
        Text(
            "Intervals: percentile bootstrap over conversations; block jackknife for the distinct counts. "
            "“Tracks people” is the rank correlation (Spearman) of the metric, reply by reply, with human labels: the "
            "median over the data sets where it was measured, and the range; a dash means that nobody measured it."
        ),
        Table(columns, rows),
    ]


def _number_row(found: Mapping[str, Any]) -> list[str]:
    overall = found["overall"]
    words = [ARROW[found["better"]], found["what"], found["source"]]
    return [with_interval(overall), str(overall["count"]), _tracks(found["tracking"]), *words]


def _tracks(found: Sequence[Mapping[str, Any]]) -> str:
    known = sorted(row["spearman"] for row in found if row["spearman"] is not None)
    if not known:
        return "–"
    sets = f"{len(known)} set" + ("s" if len(known) > 1 else "")
    return f"{statistics.median(known):+.2f} ({known[0]:+.2f} to {known[-1]:+.2f}, {sets})"


def _by_source(data: Mapping[str, Any]) -> list[Block]:
    sources = list(dict.fromkeys(source for m in data["metrics"].values() for source in m["by_source"]))
    if len(sources) < 2:
        return []
    rows = [
        [name, *(with_interval(m["by_source"][s]) if s in m["by_source"] else "–" for s in sources)]
        for name, m in data["metrics"].items()
    ]
    return [Heading("By source"), Table(["metric", *sources], rows)]


def _trust(data: Mapping[str, Any]) -> list[Block]:
    rows = [
        [name, row["dataset"], row["label"], row["level"], number(row["spearman"], 2),
         f"[{number(row['low'], 2)}, {number(row['high'], 2)}]", str(row["count"]), number(row["p_holm"])]
        for name, m in data["metrics"].items() for row in m["tracking"]
    ]  # fmt: skip
    if not rows:
        return [
            Heading("How far these numbers can be trusted"),
            Text("No correlation table was at hand: see `evaluate correlate`."),
        ]
    columns = ["metric", "human labels", "label", "level", "Spearman", "95% interval", "n", "p (Holm)"]
    return [Heading("How far these numbers can be trusted"), Table(columns, rows)]


def _cost(data: Mapping[str, Any]) -> list[Block]:
    cost = data["cost"]
    kind = "measured (RAPL)" if cost["measured"] else "estimated from processor seconds"
    each = (
        f"{number(cost['joules'] / cost['replies'], 1)} J a reply with its scoring" if cost["replies"] else "no replies"
    )
    quantiles = ", ".join(f"{name} {number(value, 2)} s" for name, value in data["latency_s"].items())
    acted = ", ".join(f"{name} {count}" for name, count in data["actions"].items())
    return [
        Heading("Cost and safety"),
        Text(
            f"{number(cost['wall_s'], 1)} s of clock and {number(cost['cpu_s'], 1)} s of processors for "
            f"{cost['replies']} replies and all scoring; {number(cost['joules'], 1)} J, {kind}; {each}. "
            f"Seconds of a reply within its batch: {quantiles or '–'}."
        ),
        Text(f"Kinds of answers and safety actions: {acted or '–'}."),
    ]


def _examples(data: Mapping[str, Any]) -> list[Block]:
    talks = [Talk(str(e["id"]), _turns(e)) for e in data["examples"]]
    return [Heading("Examples, evenly spread, not chosen"), *talks] if talks else []


def _turns(example: Mapping[str, Any]) -> list[tuple[str, str]]:
    said = [("context", text) for text in example["context"][-3:]]
    said.append((f"reply ({example['from']})", example["reply"]))
    return [*said, ("a human", example["human"])] if example["human"] else said


def _origin(data: Mapping[str, Any]) -> list[Block]:
    hashes = [[f"SHA-256 of {name}", mark] for name, mark in data["data_sha256"].items()]
    return origin(data["provenance"], [["decoding", str(data["made_by"]["decoding"])], *hashes])
