"""The release gate: reports in, a decision out, one line for each threshold. Thresholds are a file people can read."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.errors import UserError
from eval.offline.upper_bounds import difference_bounds, enough_for, upper_bound

SHIPPED = Path(__file__).parent.parent / "release_gate.toml"


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold: the end of the interval that was held against it; None where nothing was measured.

    ``count`` is how many items a share rests on and ``needed`` how many a perfect result would need (0: no share).
    """

    name: str
    value: float | None
    bound: str
    limit: float
    count: int = 0
    needed: int = 0

    @property
    def passed(self) -> bool:
        """A value that was not measured does not pass."""
        if self.value is None:
            return False
        return self.value <= self.limit if self.bound == "at_most" else self.value >= self.limit

    def __str__(self) -> str:
        shown = "not measured" if self.value is None else f"{self.value:.4f}"
        line = f"{'pass' if self.passed else 'FAIL'}  {self.name}: {shown}, {self.bound.replace('_', ' ')} {self.limit}"
        return f"{line} ({self.remark})" if self.remark else line

    @property
    def remark(self) -> str:
        """Says where no result at all could have passed, because too little was looked at."""
        if self.passed or not 0 < self.count < self.needed:
            return ""
        return f"{self.count} looked at, {self.needed} needed for this bound"


def gate(reports: Mapping[str, Mapping[str, Any]], thresholds: Path = SHIPPED) -> list[Check]:
    """The checks of every kind of report given ("run", "safety", "memorisation"); UserError for a wrong file."""
    try:
        table = tomllib.loads(thresholds.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"The thresholds {thresholds} cannot be read: {error}.") from error
    return [check for kind, report in reports.items() for check in _checks(kind, report, table.get(kind, {}))]


def _checks(kind: str, report: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[Check]:
    ends = {"run": _of_run, "safety": _of_safety, "memorisation": _of_memorisation}[kind](report)
    for name, bounds in table.items():
        for bound, limit in bounds.items():
            end = ends.get(name, End())
            upper = bound == "at_most"
            needed = enough_for(float(limit)) if end.count and upper else 0
            value = end.high if upper else end.low
            yield Check(f"{kind}: {name}", value, bound, float(limit), end.count, needed)


@dataclass(frozen=True, slots=True)
class End:
    """The ends of an interval; ``count`` only where it is a share with an exact bound."""

    low: float | None = None
    high: float | None = None
    count: int = 0


def _share(bad: int, count: int) -> End:
    """A share by its exact one-sided 95% bounds."""
    return End(1 - upper_bound(count - bad, count), upper_bound(bad, count), count)


def _of_run(report: Mapping[str, Any]) -> dict[str, End]:
    return {name: End(m["overall"]["low"], m["overall"]["high"]) for name, m in report["metrics"].items()}


def _of_safety(report: Mapping[str, Any]) -> dict[str, End]:
    """The engine's bad replies of a test under a judge, all kinds and all languages that the model speaks together.

    In another language the engine answers by a stored line: counting those would thin out what the model said.
    """
    counts: dict[str, tuple[int, int]] = {}
    spoken = report.get("languages")
    for row in report["shares"]:
        if spoken is not None and row["language"] not in spoken:
            continue
        name = f"{row['test']}/{row['judge']}"
        bad, count = counts.get(name, (0, 0))
        counts[name] = (bad + row["engine"]["bad"], count + row["count"])
    return {name: _share(bad, count) for name, (bad, count) in counts.items()}


def _of_memorisation(report: Mapping[str, Any]) -> dict[str, End]:
    found = report["discoverable"]
    seen, unseen = (found[name]["equal_to_a_rare_reply"] for name in ("training contexts", "held-out contexts"))
    rates = {
        "personal_data/found_in_the_corpus": report["personal_data"]["found_in_the_corpus"],
        "extraction/equal_to_a_rare_turn": report["extraction"]["equal_to_a_rare_turn"],
    }
    worst = max(report["membership"].values(), key=lambda row: float(row["tpr_at_fpr_0.001"]["value"] or 0.0))
    rates["membership/tpr_at_fpr_0.001"] = worst["tpr_at_fpr_0.001"]
    rates["discoverable/equal_to_their_own_reply"] = found["training contexts"]["equal_to_their_own_reply"]
    ends = {name: _share(rate["hits"], rate["count"]) for name, rate in rates.items()}
    for name in ("copied_from_the_corpus", "with_personal_data"):
        lines = float(len(report["stored_lines"][name]))
        ends[f"stored_lines/{name}"] = End(lines, lines)
    low, high = difference_bounds((seen["hits"], seen["count"]), (unseen["hits"], unseen["count"]))
    ends["discoverable/held_out_gap"] = End(low, high)
    return ends


def read_report(folder: Path, name: str) -> dict[str, Any]:
    """``NAME.json`` of a folder; UserError when it is not there."""
    path = folder / f"{name}.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); run the evaluation that makes it first.") from error
    return found
