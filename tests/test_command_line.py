"""The command line as a person meets it: a real process, a small real model, pipes, bad input, Ctrl-C and kill -9."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chinwag

ROOT = Path(__file__).resolve().parent.parent
CHINWAG = [sys.executable, str(ROOT / "chinwag.py")]


def run(*arguments: str, stdin: str | bytes = "", code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``chinwag …`` to its end and check its exit code."""
    sent = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [*CHINWAG, *arguments], input=sent, capture_output=True, env=os.environ | variables, check=False
    )
    text = subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
    assert text.returncode == code, text.stderr
    assert "Traceback" not in text.stderr
    return text


def turns(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "data" / "chinwag.sqlite3") as database:
        return [text for (text,) in database.execute("select text from turns order by id")]


def test_help_names_every_command_and_imports_none_of_them() -> None:
    code = "import sys, chinwag; sys.argv = ['chinwag', '--help']\ntry: chinwag.main()\nexcept SystemExit: pass\n"
    code += "print([m for m in ('torch', 'sqlalchemy', 'pydantic', 'numpy', 'prompt_toolkit') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    for name in ("chat", "reply", "models", "settings", "database", "safety", "train"):
        assert f" {name} " in done.stdout
    assert done.stdout.strip().endswith("[]")


def test_a_pipe_gets_a_line_for_every_line_and_it_is_remembered(tiny_checkpoint: Path, tmp_path: Path) -> None:
    said = [
        run("chat", "--model", str(tiny_checkpoint), stdin=f"{line}\n").stdout for line in ("Hi there!", "What is new?")
    ]
    assert all(answer.count("\n") == 1 for answer in said)
    assert turns(tmp_path)[0::2] == ["Hi there!", "What is new?"]
    assert [" ".join(text.split()) for text in turns(tmp_path)[1::2]] == [answer.strip() for answer in said]


def test_json_lines_have_the_promised_form_and_nothing_else_is_printed(tiny_checkpoint: Path) -> None:
    done = run("chat", "--json", "--model", str(tiny_checkpoint), stdin="Hi!\n\nI want to kill myself\n")
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["source"] for row in rows] == ["model", "error", "crisis"]
    assert [row["action"] for row in rows] == ["allow", "refuse", "crisis"]
    assert all(set(row) == {"reply", "source", "action", "seconds"} for row in rows)
    assert set(rows[0]["seconds"]) == {"wait", "load", "hear", "queue", "decode", "choose", "store"}


def test_the_same_seed_gives_the_same_sampled_reply(tiny_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["chat", "--model", str(tiny_checkpoint), "--preset", "meena", "--seed"]
    said = [
        run(*arguments, seed, stdin="Hi!\n", CHINWAG_DATA_FOLDER=str(tmp_path / str(number))).stdout
        for number, seed in enumerate(("5", "5", "6"))
    ]
    assert said[0] == said[1] != said[2]


def test_any_bytes_are_answered_and_lose_nothing(tiny_checkpoint: Path, tmp_path: Path) -> None:
    wild = (
        b"\xff\xfe broken \x00\x1b[31m bytes\n" + b"x" * 2**20 + b"\n" + "\u202eright to left\n".encode() + b"\n \nHi!"
    )
    done = run("chat", "--model", str(tiny_checkpoint), stdin=wild)
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert "1,048,576 characters" in lines[1]
    assert len(turns(tmp_path)) == 6


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--model", "chinwag-13m"], {}, "did you mean 'chinwag-135m'"),
        (["--persona", "robyn"], {}, "did you mean 'robin'"),
        (["--preset", "blenderbott"], {}, "did you mean 'blenderbot'"),
        (["--model", "."], {}, "config.json"),
        ([], {"CHINWAG_MODLE": "x"}, "did you mean 'model'"),
        ([], {"CHINWAG_REPLY_TIMEOUT_S": "soon"}, "reply_timeout_s = 'soon' is not valid"),
        ([], {"CHINWAG_DATABASE_URL": "nosuch://x"}, "nosuch"),
        ([], {"CHINWAG_CONFIG": "missing.toml"}, "missing.toml does not exist"),
        ([], {"CHINWAG_LOG_LEVEL": "loud"}, "log level 'loud'"),
    ],
)
def test_wrong_names_and_settings_get_one_sentence(
    arguments: list[str], variables: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    done = run("chat", *arguments, stdin="Hi!\n", code=1, **variables)
    assert sentence in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("library", "extra", "arguments"),
    [("scipy", "evaluate", ["evaluate", "run", "--out", "x"]), ("fastapi", "serve", ["serve"])],
)
def test_a_missing_part_comes_with_the_command_that_installs_it_for_this_python(
    library: str, extra: str, arguments: list[str]
) -> None:
    code = f"import sys, chinwag; sys.modules[{library!r}] = None; sys.argv = ['chinwag', *{arguments}]; chinwag.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert f"{library}: run `{shlex.quote(sys.executable)} -m pip install 'chinwag[{extra}]'`." in done.stderr


def test_a_corrupt_database_gets_a_sentence_and_is_left_alone(tmp_path: Path, tiny_checkpoint: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "chinwag.sqlite3"
    file.write_bytes(b"these are my holiday notes" * 1000)
    done = run("chat", "--model", str(tiny_checkpoint), stdin="Hi!\n", code=1)
    assert "chinwag.sqlite3" in done.stderr
    assert file.read_bytes() == b"these are my holiday notes" * 1000


def test_settings_tell_value_and_origin_and_hide_secrets(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CHINWAG_PERSONA=mina\nCHINWAG_PERSON_KEY=hush-hush\n")
    (tmp_path / "chinwag.toml").write_text('preset = "greedy"\npersona = "captain"\n')
    shown = run("settings", COLUMNS="250", CHINWAG_MAX_BATCH="3", CHINWAG_DATABASE_URL="postgresql://me:pw@db/x").stdout
    rows = {line.split()[0]: line for line in shown.splitlines() if "CHINWAG_" in line}
    assert "mina" in rows["CHINWAG_PERSONA"]
    assert "the file .env" in rows["CHINWAG_PERSONA"]
    assert "greedy" in rows["CHINWAG_PRESET"]
    assert "the file chinwag.toml" in rows["CHINWAG_PRESET"]
    assert "the environment" in rows["CHINWAG_MAX_BATCH"]
    assert "the default" in rows["CHINWAG_MAX_QUEUE"]
    assert "hush-hush" not in shown
    assert "pw" not in rows["CHINWAG_DATABASE_URL"]


def test_settings_cut_off_no_name_and_no_folder_in_a_narrow_terminal(tmp_path: Path) -> None:
    folder = tmp_path / "a-folder-whose-name-is-too-long-for-its-column"
    shown = run("settings", COLUMNS="80", CHINWAG_DATA_FOLDER=str(folder)).stdout
    assert "…" not in shown
    assert "CHINWAG_REPLY_TIMEOUT_S" in shown
    header, *lines = shown.splitlines()
    assert str(folder) in "".join(line[header.index("value") : header.index("comes from")].strip() for line in lines)


def test_models_lists_what_can_be_had() -> None:
    rows = [json.loads(line) for line in run("models", "--json").stdout.splitlines()]
    assert {"chinwag-135m", "smollm2-135m-instruct", "blenderbot-90m"} <= {row["name"] for row in rows}
    assert sum(row["default"] for row in rows) == 1


def contexts(tmp_path: Path, count: int = 5) -> Path:
    path = tmp_path / "in.jsonl"
    rows = [{"id": f"c{n}", "context": [f"Hello number {n}", "Hi!", "How are you?"][n % 2 :]} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_reply_answers_every_context_in_order_with_its_candidates(tiny_checkpoint: Path, tmp_path: Path) -> None:
    run("reply", "--contexts", str(contexts(tmp_path)), "--out", "out.jsonl", "--model", str(tiny_checkpoint))
    rows = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == [f"c{n}" for n in range(5)]
    assert all(row["candidates"][0]["log_prob"] < 0 for row in rows if row["source"] == "model")


def test_an_interrupted_reply_run_goes_on_and_ends_the_same(tiny_checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["--contexts", str(contexts(tmp_path)), "--model", str(tiny_checkpoint)]
    run("reply", *arguments, "--out", "whole.jsonl")
    whole = Path("whole.jsonl").read_text().splitlines(keepends=True)
    Path("part.jsonl").write_text("".join(whole[:2]) + whole[2][:30])
    Path("part.jsonl.run.json").write_text(Path("whole.jsonl.run.json").read_text())
    run("reply", *arguments, "--out", "part.jsonl")
    kept = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in whole]
    again = [json.loads(line) for line in Path("part.jsonl").read_text().splitlines()]
    assert [{k: v for k, v in row.items() if k != "seconds"} for row in again] == kept
    refused = run("reply", *arguments, "--out", "part.jsonl", "--preset", "greedy", code=1)
    assert "begun with other settings (decoding)" in refused.stderr


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 1: this is not JSON"),
        ('{"id": 1}', "line 1: a line needs the form"),
        ('{"id": 1, "context": []}', "line 1: a line needs the form"),
        ('{"id": 1, "context": ["a"]}\n{"id": 1, "context": ["b"]}', "line 2: the id 1 was used before"),
        ('{"id": 1, "context": ["a"], "persona": "robyn"}', "did you mean 'robin'"),
    ],
)
def test_bad_contexts_are_named_by_file_and_line(
    line: str, sentence: str, tmp_path: Path, tiny_checkpoint: Path
) -> None:
    (tmp_path / "bad.jsonl").write_text(line + "\n")
    done = run(
        "reply", "--contexts", "bad.jsonl", "--out", "out.jsonl", "--model", str(tiny_checkpoint), code=1
    )  # fmt: skip
    assert sentence in done.stderr
    assert not Path("out.jsonl").exists()


def test_ctrl_c_ends_a_pipe_with_a_word(tiny_checkpoint: Path) -> None:
    process = subprocess.Popen(
        [*CHINWAG, "chat", "--model", str(tiny_checkpoint)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a run in the background ignores Ctrl-C
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    process.stdin.write("Hi!\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=120) == 130
    assert "Traceback" not in process.stderr.read()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_reply_that_was_shown_survives_a_hundred_kills(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """A hundred chats, each killed at a moment of its own; see tests/killed_chats.py."""
    arguments = [sys.executable, "-m", "tests.killed_chats", str(tiny_checkpoint), "100"]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    shown = [line for file in sorted(tmp_path.glob("shown-*.txt")) for line in file.read_text().splitlines() if line]
    kept = {" ".join(text.split()) for text in turns(tmp_path)}
    assert len(shown) > 50
    assert not [line for line in shown if line not in kept]
    with sqlite3.connect(tmp_path / "data" / "chinwag.sqlite3") as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) % 2 from turns").fetchone() == (0,)


def test_training_filters_its_lines_with_the_safety_layer() -> None:
    drop = chinwag._text_filter()
    assert drop("My mail is ana@example.org") is not None
    assert drop("I had soup for lunch.") is None
