from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dialogue.errors import UserError
from safety.cli import app
from safety.filter import SafetyFilter
from safety.judge import CATEGORIES, judge_file
from safety.verdict import Action


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_one_line_out_for_each_line_in_in_the_same_order_with_other_fields_given_back(
    safety: SafetyFilter, tmp_path: Path
) -> None:
    rows = [
        {"id": 7, "text": "hello", "context": None, "speaker": "user"},
        {
            "id": "x",
            "text": "전화 010-1234-5678",
            "context": ["번호가 뭐야?"],
            "speaker": "user",
            "lang": "ko",
            "extra": [1],
        },
        {"text": "\ud83d broken", "speaker": "bot", "context": []},
    ]
    out = tmp_path / "out.jsonl"
    assert judge_file(safety, write(tmp_path / "in.jsonl", rows), out) == 3
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row.get("id") for row in results] == [7, "x", None]
    assert results[1]["extra"] == [1]
    assert results[1]["action"] == "mask"
    assert results[1]["spans"] == [[3, 16, "phone"]]
    for row in results:
        assert "text" not in row
        assert row["action"] in {str(action) for action in Action}
        assert set(row["scores"]) == set(CATEGORIES)
        assert all(0 <= score <= 1 for score in [*row["scores"].values(), row["unsafe"]])


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ('{"text": 3}', '"text"'),
        ('{"text": "a", "speaker": "cat"}', '"speaker"'),
        ('{"text": "a", "context": "b"}', '"context"'),
        ("not json", "JSON"),
        ("[1]", "object"),
        ("", "JSON"),
    ],
)
def test_a_bad_row_gets_one_sentence_with_file_and_row_and_nothing_is_written(
    safety: SafetyFilter, tmp_path: Path, bad: str, word: str
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(f'{{"text": "fine"}}\n{bad}\n{{"text": "fine"}}\n')
    with pytest.raises(UserError, match=rf"in\.jsonl, row 2.*{word}"):
        judge_file(safety, source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_missing_file_is_named(safety: SafetyFilter, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.jsonl"):
        judge_file(safety, tmp_path / "nowhere.jsonl", tmp_path / "out.jsonl")


def test_explain_names_rule_threshold_and_policy_line() -> None:
    done = CliRunner().invoke(app, ["explain", "Me too", "--context", "i want to die", "--speaker", "bot", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["action"] == "next"
    strongest = next(finding for finding in told["findings"] if finding["detector"] == "in_context")
    assert strongest["strength"] >= strongest["threshold"]
    assert strongest["policy"].startswith("[categories.")


def test_explain_shows_a_table_to_people() -> None:
    done = CliRunner().invoke(app, ["explain", "my mail is jane@example.org"])
    assert done.exit_code == 0
    assert "mask" in done.stdout
    assert "personal" in done.stdout


def test_explain_of_markup_like_text_is_shown_as_it_is() -> None:
    done = CliRunner().invoke(app, ["explain", "[red]hello[/nothing]"])
    assert done.exit_code == 0
    assert "[red]hello[/nothing]" in done.stdout


def test_judge_writes_its_file(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [{"text": "hi"}])
    done = CliRunner().invoke(app, ["judge", "--input", str(source), "--output", str(tmp_path / "out.jsonl")])
    assert done.exit_code == 0
    assert json.loads((tmp_path / "out.jsonl").read_text())["action"] == "allow"
