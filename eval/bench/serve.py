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
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dialogue.errors import UserError

if TYPE_CHECKING:
    from eval.bench.load import Level

OURS, PLAIN = "chinwag", "plain"
START_S = 240.0
SLACK_S = 10.0
"""How much longer than people's patience the load generator waits, so that a late refusal or fallback is seen."""


def serve(
    model: Annotated[
        str, typer.Option(help="Checkpoint of both servers: a folder, or a model's name; empty: the base model")
    ] = "",
    levels: Annotated[str, typer.Option(help="Conversations at once, with commas between")] = "1,2,4,8,16,32,64",
    pause_s: Annotated[float, typer.Option(help="Seconds between two messages of a conversation, on average")] = 20.0,
    seconds: Annotated[float, typer.Option(help="How long each level lasts")] = 60.0,
    patience_s: Annotated[float, typer.Option(help="Seconds that people wait for an answer")] = 30.0,
    beam: Annotated[int, typer.Option(help="Beam of both servers: 10 is the preset “beam”, 1 is “greedy”")] = 10,
    plain: Annotated[bool, typer.Option(help="Also measure the plain server")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write the curves to this file")] = None,
) -> None:
    """Latency, replies a second and refusals at rising load (open loop, Poisson), then at three times the knee.

    The plain server runs transformers' generate on the same checkpoint; where the model is ours over the base model,
    which transformers cannot run, on the base model.
    """
    if beam not in (1, 10):
        raise UserError(f"--beam is 10 or 1, not {beam}: these have a preset.")
    load = Load(tuple(int(part) for part in levels.split(",")), pause_s, seconds, patience_s)
    done = measure(*checkpoints(model), load, beam, plain)
    if plot is not None:
        draw(done, plot)
    print_json(done) if as_json else print_table(done)


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of each server: numbers of conversations, and times in seconds."""

    conversations: tuple[int, ...]
    pause_s: float
    seconds: float
    patience_s: float


def checkpoints(model: str) -> tuple[str, Path]:
    """What our server is told to load, and the folder that transformers loads."""
    from dialogue.models.base import NAME, base_checkpoint

    if model in ("", NAME):
        folder = base_checkpoint().folder
        return str(folder), folder
    folder = Path(model)
    if folder.is_dir() and (folder / "model.safetensors").is_file():
        return str(folder.resolve()), folder.resolve()
    return model, base_checkpoint().folder


def measure(ours: str, theirs: Path, load: Load, beam: int, plain: bool) -> list[Level]:
    """Every level against our server, then three times its knee, then rising levels against the plain one until it
    collapses: more load tells nothing new then."""
    from eval.bench.load import knee

    results: list[Level] = []
    with tempfile.TemporaryDirectory() as data, our_server(ours, beam, Path(data), load.patience_s) as url:
        warm_up(OURS, url, load)
        results += [_level(OURS, url, n, load) for n in load.conversations]
        storm = 3 * knee(results).conversations
        if storm not in load.conversations:
            results.append(_level(OURS, url, storm, load))
    if plain:
        with plain_server(theirs, beam) as url:
            warm_up(PLAIN, url, load)
            for n in load.conversations:
                results.append(_level(PLAIN, url, n, load))
                if results[-1].failed > results[-1].answered:
                    break
    return results


def warm_up(server: str, url: str, load: Load) -> None:
    """A few messages that nobody counts: first calls are slow, and our server learns how long replies take."""
    from eval.bench.load import offer

    asyncio.run(
        offer(server, url, conversations=2, pause_s=1.0, seconds=1.5, timeout_s=load.patience_s + SLACK_S, seed=0)
    )


def _level(server: str, url: str, n: int, load: Load) -> Level:
    from eval.bench.load import offer

    typer.echo(f"{server}: {n} conversations …", err=True)
    # Our server knows how long people wait and says no in time; the plain one does not, so its clients hang up.
    timeout_s = load.patience_s + (SLACK_S if server == OURS else 0.0)
    return asyncio.run(
        offer(server, url, conversations=n, pause_s=load.pause_s, seconds=load.seconds, timeout_s=timeout_s, seed=n)
    )


@contextmanager
def our_server(model: str, beam: int, data: Path, patience_s: float) -> Iterator[str]:
    """``chinwag serve`` in a process of its own, without limits per key."""
    port = free_port()
    settings = {
        "CHINWAG_DATA_FOLDER": str(data), "CHINWAG_LOG_LEVEL": "error", "CHINWAG_HTTP_AT_ONCE": "10000",
        "CHINWAG_HTTP_REQUESTS_PER_MINUTE": "1000000", "CHINWAG_REPLY_TIMEOUT_S": str(patience_s),
    }  # fmt: skip
    program = Path(__file__).resolve().parents[2] / "chinwag.py"
    preset = "beam" if beam == 10 else "greedy"
    command = [sys.executable, str(program), "serve", "--port", str(port), "--model", model, "--preset", preset]
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
    """The knees, what happens far beyond ours, and how many times more replies a second ours gives at the plain
    server's p95 at its knee."""
    from eval.bench.load import best_within, knee

    own, other = ([level for level in levels if level.server == name] for name in (OURS, PLAIN))
    ours = knee(own)
    lines = [f"Knee of {OURS}: {ours.replies_per_s:.2f} replies/s at p95 {ours.p95_s:.2f} s."]
    most = max(own, key=lambda level: level.conversations)
    if most.conversations >= 3 * ours.conversations:
        lines.append(
            f"At {most.conversations / ours.conversations:.0f} times the knee: {most.replies_per_s:.2f} replies/s at "
            f"p95 {most.p95_s:.2f} s, {most.refused} of {most.sent} refused, {most.failed} failed."
        )
    if not other:
        return "\n".join(lines)
    theirs = knee(other)
    if not theirs.answered:
        return "\n".join([*lines, f"{PLAIN} answered nobody in time even at its lowest level: no comparison."])
    rate = best_within(own, theirs.p95_s)
    lines.append(
        f"Knee of {PLAIN}: {theirs.replies_per_s:.2f} replies/s at p95 {theirs.p95_s:.2f} s; within that p95 "
        f"{OURS} gives {rate:.2f} replies/s: {rate / theirs.replies_per_s:.1f} times as many."
    )
    return "\n".join(lines)


def print_json(levels: Sequence[Level]) -> None:
    """One line for programs."""
    typer.echo(json.dumps({"levels": [_plain(level) for level in levels], "summary": summary(levels)}))


def _plain(level: Level) -> dict[str, object]:
    """A level as JSON values; what is not a number is null."""
    return {name: None if value != value else value for name, value in asdict(level).items()}


def draw(levels: Sequence[Level], path: Path) -> None:
    """Above, seconds over messages offered; below, replies and refusals a second; the knees are marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    from eval.bench.load import knee

    figure, (above, below) = pyplot.subplots(2, 1, figsize=(7, 7), sharex=True)
    for name, colour in ((OURS, "tab:blue"), (PLAIN, "tab:orange")):
        own = sorted(
            (each for each in levels if each.server == name and each.sent), key=lambda each: each.offered_per_s
        )
        if not own:
            continue
        rates = [level.offered_per_s for level in own]
        above.plot(rates, [level.p95_s for level in own], marker="o", color=colour, label=f"{name}, p95")
        above.plot(rates, [level.p50_s for level in own], linestyle="--", color=colour, label=f"{name}, p50")
        below.plot(rates, [level.replies_per_s for level in own], marker="o", color=colour, label=f"{name}, replies")
        lost = [level.offered_per_s * (level.refused + level.failed) / level.sent for level in own]
        below.plot(rates, lost, linestyle=":", color=colour, label=f"{name}, refused or failed")
        for axes in (above, below):
            axes.axvline(knee(own).offered_per_s, color=colour, alpha=0.3)
    above.set(ylabel="seconds until the reply", xscale="log", yscale="log")
    below.set(xlabel="messages offered a second (vertical lines: the knees)", ylabel="a second", xscale="log")
    for axes in (above, below):
        axes.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
