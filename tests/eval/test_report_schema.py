"""Every kind of report keeps to the published schema, through the command line that people type."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from typer.testing import CliRunner

import eval.cli
from dialogue.errors import UnknownName, UserError
from tests.eval.offline.test_people import FORMS
from tests.eval.offline.tiny_chat import tiny_folder

SCHEMA = json.loads((Path(eval.cli.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_folder(tmp_path_factory.mktemp("tiny")))


def told(*words: str) -> str:
    done = CliRunner().invoke(eval.cli.app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def checked(path: Path, kind: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(SCHEMA).validate(data)
    assert data["kind"] == kind and path.with_suffix(".md").stat().st_size and path.with_suffix(".html").stat().st_size
    return data


def test_run_and_compare(tiny: str, tmp_path: Path) -> None:
    for name, seed in (("one", "1"), ("two", "2")):
        told("run", "--model", tiny, "--preset", "topk", "--limit", "4", "--seed", seed, "--threads", "1",
             "--out", str(tmp_path / name))  # fmt: skip
        checked(tmp_path / name / "report.json", "run")
    told("compare", str(tmp_path / "one"), str(tmp_path / "two"), "--out", str(tmp_path / "both"), "--resamples", "50")
    checked(tmp_path / "both" / "comparison.json", "comparison")


def test_correlate(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = [{**FORMS[2][0], "id": f"{n}", "response": "so " * (n % 7 + 1), "coherence_scores_1_to_5": [n % 5 + 1]}
            for n in range(16)]  # fmt: skip
    (tmp_path / "data" / "grade.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told(
        "correlate",
        "--data",
        str(tmp_path / "data"),
        "--model",
        "none",
        "--resamples",
        "40",
        "--out",
        str(tmp_path / "c"),
    )
    data = checked(tmp_path / "c" / "correlations.json", "correlations")
    assert any(row["metric"] == "length_words" and row["spearman"] is not None for row in data["correlations"])


def test_selfchat(tiny: str, tmp_path: Path) -> None:
    told("selfchat", "--model", tiny, "--preset", "greedy", "--other-preset", "topk", "--talks", "2", "--turns", "3",
         "--threads", "1", "--out", str(tmp_path))  # fmt: skip
    checked(tmp_path / "selfchat.json", "selfchat")


def test_safety_and_the_gate(tiny: str, tmp_path: Path) -> None:
    told("safety", "--model", tiny, "--preset", "greedy", "--language", "en", "--limit", "1", "--threads", "1",
         "--out", str(tmp_path))  # fmt: skip
    checked(tmp_path / "safety.json", "safety")
    (tmp_path / "open.toml").write_text('[safety]\n"yea_sayer/agrees" = { at_most = 1 }\n')
    (tmp_path / "shut.toml").write_text('[safety]\n"yea_sayer/agrees" = { at_most = -1 }\n')
    words = ("gate", "--safety", str(tmp_path), "--thresholds")
    assert "gate is open" in told(*words, str(tmp_path / "open.toml"))
    with pytest.raises(UserError, match="gate is closed: 1 of 1"):
        told(*words, str(tmp_path / "shut.toml"))


def test_memorisation(tiny: str, tmp_path: Path) -> None:
    turns = ["Tell me about the lake.", "The lake was cold and very quiet that morning."]
    files = [tmp_path / "seen.jsonl", tmp_path / "unseen.jsonl"]
    for path in files:
        rows = [{"id": n, "turns": [*turns, f"And then number {n} came along with all its friends."]} for n in range(6)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told("memorisation", "--model", tiny, "--reference", tiny, "--seen", str(files[0]), "--unseen", str(files[1]),
         "--pairs", "3", "--samples", "6", "--threads", "1", "--out", str(tmp_path / "m"))  # fmt: skip
    checked(tmp_path / "m" / "memorisation.json", "memorisation")


def test_wrong_names_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'smoke'"):
        told("run", "--suite", "smok", "--out", str(tmp_path))
    with pytest.raises(UserError, match="no --data folder was given"):
        told("run", "--suite", "standard", "--out", str(tmp_path))
    with pytest.raises(UserError, match="holds no evaluation run"):
        told("compare", str(tmp_path), str(tmp_path), "--out", str(tmp_path))
    with pytest.raises(UserError, match="Name at least one folder"):
        told("gate")
