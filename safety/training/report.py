"""One self-contained page of measures: tables, precision–recall curves and reliability plots as inline SVG."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from safety.filter import SafetyFilter
from safety.judge import judge, request
from safety.training.data import HELD_OUT, ordinary_talk, read_rows
from safety.training.evaluate import (
    Judged,
    area,
    calibration_error,
    judge_rows,
    precision_recall,
    reliability,
    span_counts,
)
from safety.training.fairness import false_alarms_by_group
from safety.training.lines import read_lines
from safety.verdict import Action

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:right}td:first-child,th:first-child{text-align:left}"
    "figure{display:inline-block;margin:.5rem}figcaption{font-size:.8rem;text-align:center}"
)


def write_report(
    safety: SafetyFilter, data: Path, ordinary: Sequence[Path], must_catch: Sequence[Path], out: Path
) -> None:
    """Measure on held-out rows only, and write the page."""
    judged = judge_rows(safety, [row for row in read_rows(data) if row.split == HELD_OUT])
    talk = judge_rows(safety, (row for row in ordinary_talk(ordinary) if row.split == HELD_OUT))
    parts = [
        "<h1>What the safety filter was measured to do</h1>",
        "<p>Held-out rows only: a tenth of every file, chosen by hash, never fitted on.</p>",
        _by_file(judged),
        _ordinary(judged, talk),
        _personal(judged),
        _must_catch(safety, must_catch),
        _fairness(safety),
        _speed(judged),
        _curves(judged),
    ]
    page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Safety report</title><style>{_STYLE}</style>'
    out.write_text(page + "\n".join(parts) + "</html>\n", encoding="utf-8")


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return f"<h2>{html.escape(title)}</h2><table><tr>{cells}</tr>{body}</table>"


def _known(judged: Sequence[Judged], file: str) -> tuple[list[int], list[float], list[Judged]]:
    mine = [item for item in judged if item.row.file == file and "unsafe" in item.row.labels]
    return [item.row.labels["unsafe"] for item in mine], [item.score for item in mine], mine


def _by_file(judged: Sequence[Judged]) -> str:
    rows = []
    for file in sorted({item.row.file for item in judged}):
        targets, scores, mine = _known(judged, file)
        alarms = [[item.alarmed for item, target in zip(mine, targets, strict=True) if target == t] for t in (1, 0)]
        shares = [f"{np.mean(part):.3f}" if part else "–" for part in alarms]
        auc = area(targets, scores)
        shown = "–" if auc != auc else f"{auc:.3f}"
        lang = mine[0].row.lang if mine else ""
        rows.append((file, lang, len(mine), shown, *shares, f"{calibration_error(targets, scores):.3f}"))
    head = ("file", "language", "rows", "AUC", "acted on, unsafe", "acted on, safe", "calibration error")
    return _table("By file", head, rows)


def _ordinary(judged: Sequence[Judged], talk: Sequence[Judged]) -> str:
    calm = [*(item for item in judged if item.row.file.startswith("benign")), *talk]
    files = sorted({(item.row.lang, item.row.file) for item in calm})
    rows = []
    for lang, file in files:
        mine = [item.alarmed for item in calm if item.row.file == file]
        rows.append((file, lang, len(mine), sum(mine), f"{np.mean(mine):.4f}"))
    return _table("False alarms on ordinary talk", ("file", "language", "lines", "alarms", "share"), rows)


def _personal(judged: Sequence[Judged]) -> str:
    rows = []
    for lang in ("en", "ko"):
        counts = span_counts(item for item in judged if item.row.lang == lang and item.row.file.startswith("pii"))
        kinds = ", ".join(f"{kind} {counts.found.get(kind, 0)}/{n}" for kind, n in sorted(counts.there.items()))
        rows.append((lang, f"{counts.recall():.3f}", f"{counts.false_alarms}/{counts.clean}", kinds))
    return _table("Personal data", ("language", "recall, names apart", "clean lines flagged", "by kind"), rows)


def _must_catch(safety: SafetyFilter, files: Sequence[Path]) -> str:
    rows = []
    for file in files:
        lines = list(read_lines(file))
        acted = [judge(safety, request(line.row, file.name)).action is not Action.ALLOW for line in lines]
        rows.append((file.name, len(lines), sum(acted), f"{np.mean(acted):.3f}" if acted else "–"))
    return _table("Hand-written lines", ("file", "lines", "acted on", "share"), rows) if rows else ""


def _fairness(safety: SafetyFilter) -> str:
    shares = false_alarms_by_group(safety)
    mean = float(np.mean(list(shares.values())))
    rows = [(group, f"{share:.3f}", f"{share - mean:+.3f}") for group, share in sorted(shares.items())]
    head = ("group", "false alarms", "against the mean")
    return _table("False alarms on sentences that only name a group", head, rows)


def _speed(judged: Sequence[Judged]) -> str:
    times = np.array([item.seconds for item in judged]) * 1e3
    middle, late = np.quantile(times, [0.5, 0.95])
    return f"<h2>Time per message</h2><p>median {middle:.2f} ms, 95th percentile {late:.2f} ms, on this machine.</p>"


def _curves(judged: Sequence[Judged]) -> str:
    parts = ["<h2>Precision and recall; reliability</h2>"]
    for lang in ("en", "ko"):  # all files together, each with the same weight: what a chance is worth in a language
        bins = _by_language(judged, lang)
        if bins:
            parts.append(
                _plot(
                    f"{lang}, all files alike: unsafe over score", [b[0] for b in bins], [b[1] for b in bins], dots=True
                )
            )
    for file in sorted({item.row.file for item in judged}):
        targets, scores, _ = _known(judged, file)
        if len(set(targets)) == 2 and len(targets) >= 30:
            recall, precision = precision_recall(targets, scores)
            bins = reliability(targets, scores)
            parts.append(_plot(f"{file}: precision over recall", recall, precision, dots=False))
            parts.append(_plot(f"{file}: unsafe over score", [b[0] for b in bins], [b[1] for b in bins], dots=True))
    return "\n".join(parts)


def _by_language(judged: Sequence[Judged], lang: str) -> list[tuple[float, float, int]]:
    """Bins of a language's known rows, at most 300 of a file, so that no file rules by its size."""
    targets: list[int] = []
    scores: list[float] = []
    for file in sorted({item.row.file for item in judged if item.row.lang == lang}):
        mine_targets, mine_scores, _ = _known(judged, file)
        targets += mine_targets[:300]
        scores += mine_scores[:300]
    return reliability(targets, scores)


def _plot(title: str, xs: Sequence[float] | np.ndarray, ys: Sequence[float] | np.ndarray, *, dots: bool) -> str:
    """A curve in the unit square, 200 pixels wide; at most 200 points."""
    every = max(1, len(xs) // 200)
    points = [(10 + 180 * x, 190 - 180 * y) for x, y in zip(list(xs)[::every], list(ys)[::every], strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#06c"/>' for x, y in points) if dots else ""
    ideal = '<path d="M10 190L190 10" stroke="#bbb" stroke-dasharray="4"/>' if dots else ""
    return (
        '<figure><svg viewBox="0 0 200 200" width="200" height="200"><rect x="10" y="10" width="180" height="180"'
        f' fill="none" stroke="#999"/>{ideal}<polyline points="{line}" fill="none" stroke="#06c"/>{marks}</svg>'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
    )
