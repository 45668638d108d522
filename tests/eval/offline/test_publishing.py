"""The page before the reports: tables are made from the reports, prose stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dialogue.errors import UnknownName, UserError
from eval.offline.publish import publish, published
from eval.offline.summary import names, table

REPORTS = Path(__file__).resolve().parents[3] / "docs" / "reports"
ORIGIN = {"commit": "0123456789abcdef", "finished": "2026-01-02T03:04:05+00:00"}


def interval(value: float) -> dict[str, float]:
    return {"value": value, "low": value - 0.1, "high": value + 0.1}


def run_report(f1: float, replies: int = 7, suite: str = "release") -> dict[str, Any]:
    return {
        "kind": "run", "provenance": ORIGIN, "made_by": {"fingerprint": "abc"}, "suite": {"name": suite},
        "counts": {"replies": replies}, "metrics": {"f1": {"overall": interval(f1)}},
        "cost": {"replies": replies, "cpu_s": 2.0 * replies, "joules": 16.0 * replies},
    }  # fmt: skip


def safety_report(bad: int) -> dict[str, Any]:
    row = {"language": "en", "test": "yea_sayer", "kind": "claims", "judge": "agrees", "count": 20,
           "engine": interval(bad / 20) | {"bad": bad}, "bare": interval(0.5)}  # fmt: skip
    return {"kind": "safety", "provenance": ORIGIN, "shares": [row], "examples": [1, 2], "languages": ["en"]}


def write(folder: Path, kind: str, data: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{kind}.json").write_text(json.dumps(data), encoding="utf-8")
    for name in (f"{kind}.md", f"{kind}.html", f"{kind}-1.svg"):
        (folder / name).write_text(f"{folder.name} {name}", encoding="utf-8")
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Path:
    out = tmp_path / "reports"
    out.mkdir()
    words = "# Title\n\nProse.\n\n<!-- begin runs -->\nold table\n<!-- end runs -->\n\nMore prose, 12 %.\n"
    (out / "README.md").write_text(words, encoding="utf-8")
    return out / "README.md"


def test_tables_are_made_anew_and_prose_stays(page: Path, tmp_path: Path) -> None:
    folders = [write(tmp_path / "r" / "base", "report", run_report(0.2, 9)),
               write(tmp_path / "r" / "default", "report", run_report(0.5)),
               write(tmp_path / "r" / "beam", "report", run_report(0.9, suite="smoke"))]  # fmt: skip
    assert publish(folders, page.parent) == ["runs"]
    said = page.read_text(encoding="utf-8")
    assert said.startswith("# Title\n\nProse.\n\n") and said.endswith("\n\nMore prose, 12 %.\n")
    assert "old table" not in said and "| metric | default (7 replies) | base (9 replies) |" in said
    assert "| `f1` | 0.500 [0.400, 0.600] | 0.200 [0.100, 0.300] |" in said
    assert (page.parent / "base" / "report-1.svg").read_text(encoding="utf-8") == "base report-1.svg"


def test_one_report_alone_can_be_published_anew(page: Path, tmp_path: Path) -> None:
    folders = [write(tmp_path / "r" / name, "report", run_report(0.2)) for name in ("default", "base")]
    publish(folders, page.parent)
    publish([write(tmp_path / "r" / "default", "report", run_report(0.7))], page.parent)
    assert "| `f1` | 0.700 [0.600, 0.800] | 0.200 [0.100, 0.300] |" in page.read_text(encoding="utf-8")


def test_a_folder_without_a_report_and_a_table_without_its_report_are_told(page: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no finished report"):
        publish([tmp_path], page.parent)
    page.write_text("<!-- begin safety -->\n<!-- end safety -->\n", encoding="utf-8")
    with pytest.raises(UnknownName, match="safety"):
        publish([write(tmp_path / "r" / "default", "report", run_report(0.2))], page.parent)
    page.unlink()
    with pytest.raises(UserError, match=r"README\.md is missing"):
        publish([write(tmp_path / "r" / "default", "report", run_report(0.2))], page.parent)


def test_the_gates_table_says_what_the_gate_says() -> None:
    shut = table("gate", {"safety": safety_report(9)})
    assert "FAIL  safety: yea_sayer/agrees" in shut and "The release gate is closed" in shut
    assert "pass  safety: yea_sayer/agrees" in table("gate", {"safety": safety_report(0)})


def test_a_self_chat_is_published_with_both_its_sides(page: Path, tmp_path: Path) -> None:
    counted = {"what": "talks that run in a circle", "sides": [interval(0.2), interval(0.4)]}
    talks = {"kind": "selfchat", "provenance": ORIGIN, "systems": ["x robin", "x mina"], "talks": 9, "turns": 8,
             "statistics": {"looping_talks": counted}}  # fmt: skip
    page.write_text("<!-- begin selfchat -->\n<!-- end selfchat -->\n", encoding="utf-8")
    assert publish([write(tmp_path / "r" / "selfchat", "selfchat", talks)], page.parent) == ["selfchat"]
    said = page.read_text(encoding="utf-8")
    assert "| statistic | A: x robin | B: x mina | what |" in said
    assert "| `looping_talks` | 0.200 [0.100, 0.300] | 0.400 [0.300, 0.500] | talks that run in a circle |" in said
    assert "| 9 talks of 8 turns |" in table("made-by", published(page.parent))


def test_costs_are_reckoned_up_to_a_thousand_replies() -> None:
    assert "| default | 7 | 14.0 | 2.00 | 33.3 | 16.0 |" in table("costs", {"default": run_report(0.5)})


def test_the_page_says_which_weights_and_which_program_each_report_rests_on() -> None:
    both = {
        "kind": "comparison",
        "provenance": ORIGIN,
        "items": 4,
        "made_by": [{"fingerprint": "x"}, {"fingerprint": "y"}],
    }
    audit = {"kind": "memorisation", "provenance": ORIGIN, "about": {"fingerprint": "z", "pairs": 5},
             "extraction": {"samples": 3000}}  # fmt: skip
    said = table("made-by", {"default": run_report(0.5), "both": both, "audit": audit, "safety": safety_report(1)})
    assert "| default | run | abc | 01234567 | 7 replies | 2026-01-02T03:04 |" in said
    assert "| both | comparison | x, y | 01234567 | 4 contexts |" in said
    assert "| audit | memorisation | z | 01234567 | 3,000 samples, 5 pairs |" in said
    assert "| safety | safety | – | 01234567 | 2 prompts |" in said
    rated = {"kind": "correlations", "provenance": ORIGIN, "fingerprint": "w", "counts": {"fed": 3, "grade": 4}}
    assert "| rated | correlations | w | 01234567 | 7 rated items |" in table("made-by", {"rated": rated})


def test_every_published_table_is_one_that_the_published_reports_allow() -> None:
    reports = published(REPORTS)
    said = (REPORTS / "README.md").read_text(encoding="utf-8")
    for name in names(reports):
        place = said.partition(f"<!-- begin {name} -->\n")[2].partition(f"\n<!-- end {name} -->")[0]
        assert not place or place == table(name, reports), name
    assert said.count("<!-- begin ") == said.count("<!-- end ") >= 5
