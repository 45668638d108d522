"""``chinwag bench serve``: the HTTP API under load, against a plain FastAPI server around transformers, in one run."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dialogue.errors import UserError

if TYPE_CHECKING:
    from eval.bench.load import Level

OURS, PLAIN = "chinwag", "plain"
START_S = 240.0
TIMEOUT_S = 90.0
"""More than a server's own patience with a message, so that its refusal or fallback is seen."""


def serve(
    model: Annotated[
        Path | None, typer.Option(help="Checkpoint folder for both servers; default: the base model")
    ] = None,
    levels: Annotated[str, typer.Option(help="Conversations at once, with commas between")] = "1,2,4,8,16,32,64",
    pause_s: Annotated[float, typer.Option(help="Seconds between two messages of a conversation, on average")] = 20.0,
    seconds: Annotated[float, typer.Option(help="How long each level lasts")] = 60.0,
    beam: Annotated[int, typer.Option(help="Beam of both servers: 10 is the preset “beam”, 1 is “greedy”")] = 10,
    plain: Annotated[bool, typer.Option(help="Also measure the plain server")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write the curve to this file")] = None,
) -> None:
    """Latency, replies a second and refusals at rising load (open loop, Poisson), then at three times the knee."""
    from dialogue.models.base import base_checkpoint

    folder = model or base_checkpoint().folder
    if beam not in (1, 10):
        raise UserError(f"--beam is 10 or 1, not {beam}: these have a preset.")
    counts = [int(part) for part in levels.split(",")]
    done = measure(folder, counts, pause_s, seconds, beam, plain)
    if plot is not None:
        draw(done, plot)
    print_json(done) if as_json else print_table(done)


def measure(folder: Path, counts: Sequence[int], pause_s: float, seconds: float, beam: int, plain: bool) -> list[Level]:
    """Every level against our server, then three times its knee, then every level against the plain one."""
    from eval.bench.load import knee

    results: list[Level] = []
    with tempfile.TemporaryDirectory() as data, our_server(folder, beam, Path(data)) as url:
        own = [_level(OURS, url, n, pause_s, seconds) for n in counts]
        storm = 3 * knee(own).conversations
        results += own
        if storm not in counts:
            results.append(_level(OURS, url, storm, pause_s, seconds))
    if plain:
        with plain_server(folder, beam) as url:
            for n in counts:
                results.append(_level(PLAIN, url, n, pause_s, seconds))
                if results[-1].failed > results[-1].answered:
                    break  # it has collapsed; more load tells nothing new
    return results


def _level(server: str, url: str, n: int, pause_s: float, seconds: float) -> Level:
    from eval.bench.load import offer

    typer.echo(f"{server}: {n} conversations …", err=True)
    return asyncio.run(
        offer(server, url, conversations=n, pause_s=pause_s, seconds=seconds, timeout_s=TIMEOUT_S, seed=n)
    )


@contextmanager
def our_server(folder: Path, beam: int, data: Path) -> Iterator[str]:
    """``chinwag serve`` in a process of its own, without limits per key."""
    port = free_port()
    settings = {
        "CHINWAG_DATA_FOLDER": str(data), "CHINWAG_LOG_LEVEL": "error", "CHINWAG_HTTP_AT_ONCE": "10000",
        "CHINWAG_HTTP_REQUESTS_PER_MINUTE": "1000000",
    }  # fmt: skip
    program = Path(__file__).resolve().parents[2] / "chinwag.py"
    preset = "beam" if beam == 10 else "greedy"
    command = [sys.executable, str(program), "serve", "--port", str(port), "--model", str(folder), "--preset", preset]
    with _running(command, port, settings, data) as url:
        yield url


@contextmanager
def plain_server(folder: Path, beam: int) -> Iterator[str]:
    """eval/bench/plain_server.py in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "eval.bench.plain_server", str(folder), str(port), str(beam), "40"]
    with _running(command, port, {}, Path(__file__).resolve().parents[2]) as url:
        yield url


@contextmanager
def _running(command: list[str], port: int, settings: dict[str, str], folder: Path) -> Iterator[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CHINWAG_")}
    process = subprocess.Popen(
        command, env={**inherited, **settings}, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process)
        yield url
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:  # still working on requests that nobody waits for
            process.kill()
            process.communicate()


def _wait(url: str, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            assert process.stderr is not None
            raise UserError(f"A server did not start: {process.stderr.read()[-500:]}")
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.2)
    raise UserError(f"A server was not ready within {START_S:.0f} seconds.")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def print_table(levels: Sequence[Level]) -> None:
    """The levels as a table, the knee, and the comparison at equal p95."""
    from rich.console import Console
    from rich.table import Table

    columns = ("server", "talks", "offered/s", "replies/s", "p50 s", "p95 s", "p99 s", "refused", "failed")
    table = Table(*columns, box=None, header_style="bold")
    for level in levels:
        numbers = (level.offered_per_s, level.replies_per_s, level.p50_s, level.p95_s, level.p99_s)
        cells = [f"{number:.2f}" for number in numbers]
        table.add_row(level.server, str(level.conversations), *cells, str(level.refused), str(level.failed))
    console = Console()
    console.print(table)
    console.print(summary(levels))


def summary(levels: Sequence[Level]) -> str:
    """The knees, and how many times more replies a second ours gives at the plain server's p95 at its knee."""
    from eval.bench.load import best_within, knee

    own, other = ([level for level in levels if level.server == name] for name in (OURS, PLAIN))
    ours = knee(own)
    text = f"Knee of {OURS}: {ours.replies_per_s:.2f} replies/s at p95 {ours.p95_s:.2f} s."
    if not other:
        return text
    theirs = knee(other)
    if not theirs.answered:
        return f"{text}\n{PLAIN} answered nothing within {TIMEOUT_S:.0f} s even at its lowest level: no comparison."
    rate = best_within(own, theirs.p95_s)
    times = rate / theirs.replies_per_s
    return (
        f"{text}\nKnee of {PLAIN}: {theirs.replies_per_s:.2f} replies/s at p95 {theirs.p95_s:.2f} s; within that p95 "
        f"{OURS} gives {rate:.2f} replies/s: {times:.1f} times as many."
    )


def print_json(levels: Sequence[Level]) -> None:
    """One line for programs."""
    typer.echo(json.dumps({"levels": [_plain(level) for level in levels], "summary": summary(levels)}))


def _plain(level: Level) -> dict[str, object]:
    """A level as JSON values; what is not a number is null."""
    return {name: None if value != value else value for name, value in asdict(level).items()}


def draw(levels: Sequence[Level], path: Path) -> None:
    """p50 and p95 over replies a second, one line a server, the knees marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from eval.bench.load import knee

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name in (OURS, PLAIN):
        own = sorted(
            (level for level in levels if level.server == name and level.answered),
            key=lambda level: level.offered_per_s,
        )
        if own:
            rates = [level.offered_per_s for level in own]
            (line,) = axes.plot(rates, [level.p95_s for level in own], marker="o", label=f"{name}, p95")
            axes.plot(
                rates, [level.p50_s for level in own], linestyle="--", color=line.get_color(), label=f"{name}, p50"
            )
            axes.axvline(knee(own).offered_per_s, color=line.get_color(), alpha=0.3)
    axes.set(xlabel="messages offered a second", ylabel="seconds until the reply", xscale="log", yscale="log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
