"""Reports that leave the house: no line of somebody's data in them, pictures beside the Markdown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eval.memorisation_report import _unquoted
from eval.offline.compare import _wins
from eval.offline.items import Item
from eval.offline.metrics.table import METRICS
from eval.offline.records import Scored
from eval.offline.results import examples, measure
from eval.offline.upper_bounds import clopper_pearson
from eval.report import Block, Heading, Plot, write_report

SECRET = "a line of somebody's corpus"


def answered(source: str, place: int, reply: str = "yes") -> Scored:
    words = SECRET if source != "everyday_en" else "Hi there!"
    return Scored(Item(f"{source}-{place}", (words,), references=("yes indeed",), source=source), reply=reply)


def test_without_quoting_examples_are_of_our_own_contexts_alone() -> None:
    rows = [answered(source, place) for source in ("everyday_en", "bought") for place in range(8)]
    assert SECRET in str(examples(rows)) and SECRET not in str(examples(rows, quote=False))
    assert len(examples(rows, quote=False)) == 8


def test_no_example_is_shown_twice_in_a_short_run() -> None:
    shown = [each["id"] for each in examples([answered("everyday_en", place) for place in range(10)])]
    assert len(shown) == len(set(shown)) == 10


def test_without_quoting_a_comparison_counts_all_but_shows_our_own() -> None:
    pairs = [(answered(s, n, "no"), answered(s, n, "yes")) for s in ("everyday_en", "bought") for n in range(3)]
    plain, quiet = _wins(pairs, quote=True), _wins(pairs, quote=False)
    assert plain["counts"] == quiet["counts"] == {"first": 0, "second": 6, "tie": 0}
    assert SECRET in str(plain) and SECRET not in str(quiet) and "Hi there!" in str(quiet)


def test_without_quoting_an_audit_keeps_its_numbers_and_drops_its_lines() -> None:
    found = {
        "discoverable": {"training contexts": {"long_replies": 3, "examples": [SECRET]}},
        "extraction": {"samples": 5, "examples": [{"text": SECRET}]},
    }
    quiet = _unquoted(found)
    assert SECRET not in str(quiet) and quiet["extraction"]["samples"] == 5
    assert quiet["discoverable"]["training contexts"]["long_replies"] == 3


def test_plots_stand_in_the_page_and_as_pictures_beside_the_markdown(tmp_path: Path) -> None:
    blocks: list[Block] = [Plot("<svg>one</svg>", "first"), Heading("between"), Plot("<svg>two</svg>", "second")]
    write_report(tmp_path, "found", "Found", {"value": 1}, blocks)
    said = (tmp_path / "found.md").read_text(encoding="utf-8")
    assert "![first](found-1.svg)" in said and "![second](found-2.svg)" in said
    assert (tmp_path / "found-2.svg").read_text(encoding="utf-8") == "<svg>two</svg>"
    page = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert "<svg>one</svg>" in page and "<svg>two</svg>" in page and "found-1.svg" not in page


def test_a_rate_of_which_nothing_was_seen_is_bounded_not_certain() -> None:
    rows = [replace(answered("everyday_en", n), item=Item(f"{n}", ("x",), group=f"{n}")) for n in range(40)]
    none = measure(METRICS["question_rate"], rows, resamples=50, seed=0)
    assert (none.value, none.low) == (0.0, 0.0) and none.high == clopper_pearson(0, 40)[1] > 0.08
    some = measure(METRICS["question_rate"], [*rows, replace(rows[0], reply="Why?")], resamples=50, seed=0)
    assert some.value == 1 / 41


def test_a_share_over_all_replies_has_an_interval_of_shares() -> None:
    rows = [
        replace(answered("everyday_en", n, f"reply number {n}"), item=Item(f"{n}", ("x",), group=f"{n}"))
        for n in range(40)
    ]
    every = measure(METRICS["unique_replies"], rows, resamples=50, seed=0)
    assert (every.value, every.high) == (1.0, 1.0) and every.low == clopper_pearson(40, 40)[0] < 0.92
    alike = [replace(row, reply="twice") if n < 2 else row for n, row in enumerate(rows)]
    most = measure(METRICS["unique_replies"], alike, resamples=50, seed=0)
    assert most.low < most.value == 0.975 < most.high <= 1.0
