"""The benchmark itself: that engines answer the same, take turns, and that the numbers mean what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dialogue.errors import UnknownName, UserError
from eval.bench.cli import _numbers, app
from eval.bench.decode import REFERENCE, Row, floor_ms, measure, memory_bandwidth, ratio
from eval.bench.engines import ENGINES, QUICK, Engine, engines, load_chinwag, load_transformers
from eval.bench.picture import draw_rows
from eval.bench.shapes import CONTEXT, REPLY, shape
from eval.bench.worker import forget_peak, memory_mb
from tests.tiny_checkpoint import make_tiny_checkpoint

OURS = [engine for engine in ENGINES if str(engine) in ("chinwag fp32", "chinwag bf16")]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    shape("tiny").write(folder)
    return folder


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("beams", [1, 10])
def test_we_measure_the_same_work_and_get_the_same_replies(checkpoint: Path, beams: int) -> None:
    net = shape("tiny")
    contexts = net.contexts(2, seed=3)
    ours = load_chinwag(checkpoint, net, "fp32")(contexts, beams)
    theirs = load_transformers(checkpoint, net, "fp32")(contexts, beams)
    assert [len(context) for context in contexts] == [CONTEXT] * 2
    assert [len(reply) for reply in ours] == [REPLY] * 2
    assert ours == theirs


@pytest.mark.skipif(importlib.util.find_spec("ctranslate2") is None, reason="needs the optional package ctranslate2")
def test_ctranslate2_answers_with_as_many_tokens(checkpoint: Path) -> None:
    from eval.bench.engines import load_ctranslate2

    net = shape("tiny")
    for dtype in ("fp32", "int8"):
        replies = load_ctranslate2(checkpoint, net, dtype)(net.contexts(2, seed=3), 4)
        assert [len(reply) for reply in replies] == [REPLY] * 2


@pytest.mark.slow
def test_engines_take_turns_in_processes_of_their_own(tmp_path: Path) -> None:
    rows = measure(shape("tiny"), OURS, [(2, 1)], rounds=1, threads=1, bandwidth=1e9)
    assert [(row.engine, row.dtype, row.shape, row.beam, row.batch) for row in rows] == [
        ("chinwag", "fp32", "tiny", 2, 1), ("chinwag", "bf16", "tiny", 2, 1)
    ]  # fmt: skip
    assert rows[0].ratio is None  # the engine to compare with was not there
    assert all(row.ms_per_reply > 0 and row.peak_mb is not None and row.peak_mb > 0 for row in rows)
    draw_rows(rows, tmp_path / "bars.png")
    assert (tmp_path / "bars.png").stat().st_size > 1000


def test_the_quick_run_measures_what_it_promises() -> None:
    chosen = {str(engine) for engine in engines(quick=True)}
    assert chosen >= set(QUICK) - {"ctranslate2 int8"}
    assert chosen <= set(QUICK)
    assert REFERENCE in chosen


def test_a_ratio_compares_turns_with_each_other() -> None:
    assert ratio([10.0, 40.0, 12.0], [5.0, 10.0, 4.0]) == 3.0
    assert ratio(None, [1.0]) is None


def test_the_floor_is_the_time_to_read_the_weights_once_per_token(checkpoint: Path) -> None:
    bandwidth = memory_bandwidth(1, 2**20)
    assert bandwidth > 1e8
    whole = floor_ms(checkpoint, "fp32", bandwidth)
    assert floor_ms(checkpoint, "int8", bandwidth) == pytest.approx(whole / 4)
    assert floor_ms(checkpoint, "fp32", bandwidth / 2) == pytest.approx(2 * whole)


def test_a_peak_is_seen_and_can_be_forgotten() -> None:
    before = memory_mb("VmHWM")
    block = bytearray(64 * 2**20)
    assert memory_mb("VmHWM") >= before
    assert memory_mb("VmHWM") >= memory_mb("VmRSS") > 64
    del block
    forget_peak()
    assert memory_mb("VmHWM") < before + 64


def test_json_is_one_line_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("chinwag", "bf16", "blenderbot-90m", 10, 1, 300.0, 200.0, 5.5, 80.0)
    monkeypatch.setattr("eval.bench.cli.measure", lambda *args: [row])
    monkeypatch.setattr("eval.bench.cli.memory_bandwidth", lambda threads: 5e10)
    result = CliRunner().invoke(app, ["decode", "--quick", "--json"])
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    (found,) = json.loads(line)["rows"]
    wanted = {"engine", "dtype", "shape", "beam", "batch", "ms_per_reply", "peak_mb", "ratio"}
    assert wanted <= set(found)
    table = CliRunner().invoke(app, ["decode", "--quick"])
    assert "blenderbot-90m" in table.stdout and "chinwag bf16" in table.stdout and "300" in table.stdout


def test_a_model_is_timed_alone_and_with_replies_as_long_as_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("eval.bench.cli.memory_bandwidth", lambda threads: 5e10)
    folder = make_tiny_checkpoint(tmp_path / "small")
    options = ["--beams", "2", "--batches", "1", "--rounds", "1", "--threads", "1", "--reply", "5", "--json"]
    result = CliRunner().invoke(app, ["decode", "--shapes", "", "--model", str(folder), *options])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["rows"]
    assert (row["shape"], row["beam"], row["batch"]) == ("small, 5 tokens", 2, 1)
    assert row["ms_per_reply"] > 0


def test_nonsense_is_refused_with_a_sentence() -> None:
    with pytest.raises(UnknownName, match="blenderbot-90m"):
        shape("blenderbot-90")
    for text in ("ten", "1,0"):
        with pytest.raises(UserError):
            _numbers(text)


def test_engines_can_be_sent_to_another_process() -> None:
    import pickle

    assert [pickle.loads(pickle.dumps(engine)) for engine in ENGINES] == list(ENGINES)
    assert all(isinstance(engine, Engine) for engine in ENGINES)
