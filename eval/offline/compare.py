"""Two runs over the same contexts, side by side: paired differences with intervals, effects, and examples to read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.errors import UserError
from eval.offline.bootstrap import Difference, holm, jackknife, paired
from eval.offline.metrics.table import LIKELIHOOD, METRICS, RANKING, Metric
from eval.offline.provenance import provenance
from eval.offline.records import Scored
from eval.offline.results import SCHEMA, identity, quotable, read_run
from eval.report import Block, Heading, Table, Talk, Text, number, origin, write_report

EXAMPLES = 6
Pairs = Sequence[tuple[Scored, Scored]]


def compare_runs(
    first: Path, second: Path, out: Path, *, resamples: int = 2000, seed: int = 0, quote: bool = True
) -> dict[str, Any]:
    """Write ``comparison.{json,md,html}`` and ``pairs.jsonl`` for the rating console; the data of the first. Without
    ``quote`` both hold only contexts of the program's own.

    Raises UserError when the runs share no item.
    """
    pairs, names = _shared(first, second), _names(first, second)
    made = [identity(first), identity(second)]
    metrics = _differences(pairs, resamples, seed, same_model=made[0]["fingerprint"] == made[1]["fingerprint"])
    data: dict[str, Any] = {
        "schema": SCHEMA, "kind": "comparison", "systems": names,
        "made_by": made, "items": len(pairs), "resamples": resamples, "seed": seed,
        "metrics": metrics, "wins": _wins(pairs, quote), "provenance": provenance(),
    }  # fmt: skip
    write_report(out, "comparison", f"{names[0]} against {names[1]}", data, _blocks(data))
    _write_pairs(out / "pairs.jsonl", [pair for pair in pairs if quote or quotable(pair[0])], names)
    return data


def _shared(first: Path, second: Path) -> list[tuple[Scored, Scored]]:
    other = {row.item.id: row for row in read_run(second)}
    pairs = [(row, other[row.item.id]) for row in read_run(first) if row.item.id in other]
    pairs = [(a, b) for a, b in pairs if a.item.context == b.item.context]
    if not pairs:
        raise UserError(f"{first} and {second} share no context; compare runs of one suite over the same data.")
    return pairs


def _names(first: Path, second: Path) -> tuple[str, str]:
    """Short names that differ: model, preset and persona as far as these are needed; else the folders'."""
    made = identity(first), identity(second)
    for fields in (
        ("model",),
        ("model", "preset"),
        ("model", "preset", "persona"),
        ("model", "preset", "persona", "seed"),
    ):
        one, two = (" ".join(str(each[f]) for f in fields if str(each[f])) for each in made)
        if one != two:
            return one, two
    return str(first), str(second)


def _differences(pairs: Pairs, resamples: int, seed: int, *, same_model: bool) -> dict[str, Any]:
    """Two decoders of one model take the same human answers alike: their likelihoods are left out, and not tested."""
    found: dict[str, Any] = {}
    alike = {metric.name for metric in (*LIKELIHOOD, *RANKING)} if same_model else set()
    for name, metric in METRICS.items():
        if name in alike:
            continue
        row = _whole(metric, pairs) if metric.whole else _by_parts(metric, pairs, resamples, seed)
        if row is not None:
            found[name] = row | {"what": metric.what, "better": metric.better}
    for row, p in zip(
        found.values(), holm([row["difference"]["p"] or float("nan") for row in found.values()]), strict=True
    ):
        row["difference"]["p_holm"] = p if np.isfinite(p) else None
    return found


def _by_parts(metric: Metric, pairs: Pairs, resamples: int, seed: int) -> dict[str, Any] | None:
    assert metric.parts is not None and metric.combine is not None
    known = [(a, b, one.item.group) for one, two in pairs if (a := metric.parts(one)) and (b := metric.parts(two))]
    if not known:
        return None
    first, second = (np.array([row[side] for row in known], dtype=float) for side in (0, 1))
    difference = paired(first, second, [row[2] for row in known], metric.combine, times=resamples, seed=seed)
    values = [metric.combine(first.sum(0)), metric.combine(second.sum(0))]
    return {"values": values, "difference": difference.as_dict()}


def _whole(metric: Metric, pairs: Pairs) -> dict[str, Any] | None:
    assert metric.whole is not None
    whole, kept = metric.whole, [pair for pair in pairs if pair[0].reply is not None and pair[1].reply is not None]
    if not kept:
        return None

    def difference(rows: NDArray[np.int64]) -> float:
        return whole([kept[row][1] for row in rows]) - whole([kept[row][0] for row in rows])

    found = jackknife([pair[0].item.group for pair in kept], difference)
    values = [whole([pair[side] for pair in kept]) for side in (0, 1)]
    plain = Difference(found.value, found.low, found.high, float("nan"), float("nan"), len(kept))
    return {"values": values, "difference": plain.as_dict()}


def _wins(pairs: Pairs, quote: bool) -> dict[str, Any]:
    """Examples where the replies differ most in F1 with human answers, both ways, and an even spread of the rest."""
    metric = METRICS["f1"].parts
    assert metric is not None
    scored = [((b[0] - a[0]), one, two) for one, two in pairs if (a := metric(one)) and (b := metric(two))]
    scored.sort(key=lambda row: row[0])
    differ = [row for row in scored if row[1].reply != row[2].reply and (quote or quotable(row[1]))]
    kept = {"first": differ[:EXAMPLES], "second": differ[::-1][:EXAMPLES]}
    counts = {"first": sum(row[0] < 0 for row in scored), "second": sum(row[0] > 0 for row in scored)}
    counts["tie"] = len(scored) - sum(counts.values())
    examples = {side: [_example(*row) for row in rows] for side, rows in kept.items()}
    return {"by": "f1", "counts": counts, "examples": examples}


def _example(difference: float, one: Scored, two: Scored) -> dict[str, Any]:
    item = one.item
    return {
        "id": item.id, "context": list(item.context), "replies": [one.reply, two.reply],
        "human": item.references[0] if item.references else None, "difference": difference,
    }  # fmt: skip


def _write_pairs(path: Path, pairs: Pairs, names: tuple[str, str]) -> None:
    """One line for each context that both answered differently: what the console's pairwise study imports."""
    with path.open("w", encoding="utf-8") as file:
        for one, two in pairs:
            if one.reply and two.reply and one.reply != two.reply:
                row = {"id": one.item.id, "context": list(one.item.context)}
                file.write(
                    json.dumps(row | {"answers": {names[0]: one.reply, names[1]: two.reply}}, ensure_ascii=False) + "\n"
                )


def _blocks(data: Mapping[str, Any]) -> list[Block]:
    first, second = data["systems"]
    counts = data["wins"]["counts"]
    rows = [[name, *_row(found)] for name, found in data["metrics"].items()]
    columns = ["metric", first, second, "difference [95%]", "p (Holm)", "effect (d)", "better", "n"]
    blocks: list[Block] = [
        Text(
            f"{data['items']} contexts answered by both. Differences are second minus first on the same contexts, "
            f"intervals by a paired bootstrap over conversations ({data['resamples']} resamples; block jackknife for "
            "the distinct counts), p-values adjusted by Holm. Effects are Cohen's d of the differences of single "
            "items. Seconds were measured with whatever else the machine did at the time."
        ),
        Table(columns, rows),
        Heading("Where they differ most"),
        Text(
            f"By F1 with the nearest human answer: {first} ahead on {counts['first']}, {second} on {counts['second']}, "
            f"{counts['tie']} equal. F1 is a poor judge of single replies: read them."
        ),
    ]
    for side, name in (("first", first), ("second", second)):
        blocks += [Talk(f"{name} ahead: {e['id']}", _turns(e, first, second)) for e in data["wins"]["examples"][side]]
    prints = [[name, str(made["fingerprint"])] for name, made in zip(data["systems"], data["made_by"], strict=True)]
    return [*blocks, *origin(data["provenance"], [*prints, ["seed", str(data["seed"])]])]


def _row(found: Mapping[str, Any]) -> list[str]:
    d, values = found["difference"], found["values"]
    clear = "" if d["low"] is None or d["low"] <= 0 <= d["high"] else "*"
    leader = {"higher": ("first", "second"), "lower": ("second", "first")}.get(found["better"])
    ahead = leader[int((d["value"] or 0) > 0)] if leader and clear else ""
    return [
        number(values[0]), number(values[1]), f"{number(d['value'])} [{number(d['low'])}, {number(d['high'])}]{clear}",
        number(d["p_holm"]), number(d["effect"], 2), ahead, str(d["count"]),
    ]  # fmt: skip


def _turns(example: Mapping[str, Any], first: str, second: str) -> list[tuple[str, str]]:
    said = [("context", text) for text in example["context"][-3:]]
    said += [(first, example["replies"][0]), (second, example["replies"][1])]
    return [*said, ("a human", example["human"])] if example["human"] else said
