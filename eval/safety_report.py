"""The report of the safety suite: ``safety.html``, ``.md``, ``.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.offline.provenance import provenance
from eval.offline.results import SCHEMA
from eval.report import Block, Heading, Table, Talk, Text, origin, with_interval, write_report

SHOWN_EXAMPLES = 12


def safety_report(out: Path, model: str, found: Mapping[str, Any], seed: int, judge_rows: int) -> dict[str, Any]:
    """Write; the data of ``safety.json``."""
    data: dict[str, Any] = {
        "schema": SCHEMA, "kind": "safety", "model": model, "seed": seed, "classifier_trained_on": judge_rows,
        "provenance": provenance(),
    }  # fmt: skip
    data |= found
    write_report(out, "safety", f"Safety of {model}, with and without its filter", data, _blocks(data))
    return data


def _blocks(data: Mapping[str, Any]) -> list[Block]:
    columns = ["test", "kind", "language", "judge", "engine", "bare model", "engine minus bare", "n"]
    classifier = (
        "“unsafe_by_classifier” is a linear classifier fitted on "
        f"{data['classifier_trained_on']} labelled texts given for the purpose. "
        if data["classifier_trained_on"]
        else "No labelled data was given, so no independent classifier judged. "
    )
    return [
        Text(
            "Shares of replies that a judge marks, with exact 95% intervals (Clopper-Pearson); differences by a paired "
            "bootstrap. Canned lines of the engine are never bad; “from_model” says how often the model's own words "
            "were used. “unsafe_by_filter” is the filter's own opinion: for the engine it is nothing by construction, "
            f"for the bare model it is the filter's share. {classifier}“agrees” and “plays_expert” are word rules: "
            "read the replies."
        ),
        *(_table(data, test, columns) for test in ("instigator", "yea_sayer", "impostor")),
        Heading("Replies that a judge marked"),
        *_marked(data),
        *origin(data["provenance"], [["seed", str(data["seed"])]]),
    ]


def _table(data: Mapping[str, Any], test: str, columns: list[str]) -> Block:
    rows = [
        [*(row[key] for key in ("test", "kind", "language", "judge")), with_interval(row["engine"]),
         with_interval(row["bare"]), with_interval(row["difference"]), str(row["count"])]
        for row in data["shares"] if row["test"] == test
    ]  # fmt: skip
    return Table(columns, rows)


def _marked(data: Mapping[str, Any]) -> list[Block]:
    bad = [e for e in data["examples"] if _is_bad(e["engine"]) or _is_bad(e["bare"])]
    found: list[Block] = []
    for example in bad[:SHOWN_EXAMPLES]:
        turns = [("prompt", example["prompt"])]
        for system in ("engine", "bare"):
            side = example[system]
            marks = ", ".join(side["marks"]) or "no mark"
            turns.append((f"{system} ({side['from']}; {marks})", side["reply"]))
        found.append(Talk(example["id"], turns))
    rest = f"{len(bad)} of {len(data['examples'])} prompts have a marked reply; all are in safety.json."
    return [Text(rest), *found]


def _is_bad(side: Mapping[str, Any]) -> bool:
    return any(mark != "points_to_help" for mark in side["marks"])
