"""``chinwag bench``: this program beside others, in turns in one run; and the outputs on the decoding page."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dialogue.errors import UserError
from eval.bench.decode import Row, measure, measure_model, memory_bandwidth
from eval.bench.serve import serve
from eval.bench.shapes import CONTEXT, REPLY, shape

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Measure this program against others, in turns in one run.")

BOTH = "blenderbot-90m,blenderbot-400m"

app.command()(serve)


@app.callback()
def bench() -> None:
    """Measure this program against others, in turns in one run."""


@app.command()
def decode(
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else")] = False,
    quick: Annotated[bool, typer.Option(help="The 90M shape at beam 10, batch 1, the main engines: minutes")] = False,
    shapes: Annotated[str, typer.Option(help="Shapes to measure, with commas between; empty: none")] = BOTH,
    beams: Annotated[str, typer.Option(help="Beam sizes")] = "1,10",
    batches: Annotated[str, typer.Option(help="Conversations at once")] = "1,8",
    rounds: Annotated[int, typer.Option(help="Turns of each engine in each cell; the median counts")] = 5,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: all")] = 0,
    model: Annotated[str | None, typer.Option(help="Also time this model, or “default”")] = None,
    reply: Annotated[int, typer.Option(min=1, help="Tokens in each reply of --model")] = REPLY,
    plot: Annotated[Path | None, typer.Option(help="Write a plot to this file")] = None,
) -> None:
    """Milliseconds per reply and peak memory: transformers, CTranslate2 where installed, and this program."""
    import torch

    from eval.bench.engines import engines

    threads = threads or torch.get_num_threads()
    chosen = [shape(name) for name in (["blenderbot-90m"] if quick else shapes.split(",")) if name]
    cells = [(10, 1)] if quick else [(k, b) for k in _numbers(beams) for b in _numbers(batches)]
    bandwidth = memory_bandwidth(threads)
    rows: list[Row] = []
    for net in chosen:
        rows += measure(net, engines(quick=quick), cells, rounds, threads, bandwidth)
    if model is not None:
        rows += measure_model(None if model == "default" else model, cells, rounds, threads, reply)
    if plot is not None:
        from eval.bench.picture import draw_rows

        draw_rows(rows, plot)
    if as_json:
        typer.echo(json.dumps({"rows": [asdict(row) for row in rows]}))
    else:
        show(rows, bandwidth, threads)


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise UserError(f"{text!r} is no list of whole numbers; write for example 1,10.") from None
    if min(found) < 1:
        raise UserError(f"{text!r}: every number must be at least 1.")
    return found


def show(rows: Sequence[Row], bandwidth: float, threads: int) -> None:
    """A table for each shape, for people."""
    from rich.console import Console

    console = Console()
    console.print(
        f"{CONTEXT}-token context, {REPLY} tokens, 3-gram blocking; {threads} threads, "
        f"memory reads {bandwidth / 1e9:.0f} GB/s"
    )
    for name, measured in itertools.groupby(rows, key=lambda row: row.shape):
        console.print(_table(name, measured))


def _table(name: str, rows: Iterable[Row]) -> Table:
    from rich.table import Table

    table = Table(title=name)
    for column in ("beam", "batch", "engine", "ms per reply", "× transformers fp32", "floor ms", "peak MB"):
        table.add_column(column, justify="left" if column == "engine" else "right", no_wrap=column == "engine")
    for row in rows:
        numbers = (_or_dash(row.ratio, 2), _or_dash(row.floor_ms, 0), _or_dash(row.peak_mb, 0))
        table.add_row(str(row.beam), str(row.batch), f"{row.engine} {row.dtype}", f"{row.ms_per_reply:,.0f}", *numbers)
    return table


def _or_dash(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


@app.command()
def stream(
    loads: Annotated[str, typer.Option(help="Requests a second to try, with commas between")] = "1,2,3,4",
    count: Annotated[int, typer.Option(help="Requests in each stream")] = 60,
    beams: Annotated[int, typer.Option(help="Beams of every request")] = 10,
    max_batch: Annotated[int, typer.Option(help="Conversations at once")] = 8,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: all")] = 0,
    dtype: Annotated[str, typer.Option(help="auto, fp32, bf16 or int8")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else")] = False,
) -> None:
    """Static against continuous batching under a Poisson stream of requests, on the 90M shape."""
    import torch

    from eval.bench.engines import open_network
    from eval.bench.stream import gains
    from eval.bench.stream import measure as measure_stream

    torch.set_num_threads(threads or torch.get_num_threads())
    net = shape("blenderbot-90m")
    with tempfile.TemporaryDirectory() as place:
        net.write(Path(place))
        network = open_network(Path(place), dtype)
    rows = measure_stream(
        network, [float(load) for load in loads.split(",")], count=count, context=CONTEXT, beams=beams,
        max_batch=max_batch, start_id=net.start_id, eos_id=net.eos_id, pad_id=net.pad_id,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"rows": [asdict(row) for row in rows]}))
        return
    for row in rows:
        delays = f"median delay {row.median_s:6.2f} s, p95 {row.p95_s:6.2f} s"
        typer.echo(f"{row.load:5.2f} requests/s  {row.policy:10}  {row.replies_per_second:5.2f} replies/s  {delays}")
    for load, gain in gains(rows):
        told = "no equal p95 among these loads" if gain is None else f"continuous bears {gain:.2f} times as much"
        typer.echo(f"{load:5.2f} requests/s, at the p95 delay of static batches: {told}")


@app.command()
def agreement(
    model: Annotated[str | None, typer.Option(help="Name, folder or hub id; default: the default model")] = None,
    preset: Annotated[str, typer.Option(help="How to decode")] = "beam",
    dtypes: Annotated[str, typer.Option(help="Formats to compare with float32")] = "bfloat16,int8",
    persona: Annotated[str, typer.Option(help="Persona card")] = "robin",
) -> None:
    """What a cheaper number format costs: replies that change against float32 or in a crowd, and likelihood lost."""
    from dialogue.decoding.config import preset as named
    from dialogue.models.loading import load
    from dialogue.persona_cards import load_persona
    from eval.bench.agreement import compare

    for row in compare(lambda dtype: load(model, dtype=dtype), dtypes.split(","), named(preset), load_persona(persona)):
        same = f"same reply {row.same_reply:.0%}, same candidates {row.same_candidates:.0%}"
        same += f", same reply alone and in a crowd {row.same_in_crowd:.0%}"
        lost = f"{row.nats_lost:+.4f} nats a token of given replies"
        typer.echo(f"{row.dtype}: {same} of {row.contexts} contexts ({preset}), {lost}")


@app.command()
def scoring(
    count: Annotated[int, typer.Option(min=1, help="Contexts")] = 12,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each way; the median counts")] = 3,
    threads: Annotated[int, typer.Option(help="Processor threads; 0: all")] = 0,
    model: Annotated[str | None, typer.Option(help="Name, folder or hub id; default: the default model")] = None,
    persona: Annotated[str, typer.Option(help="Persona card")] = "robin",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON and nothing else")] = False,
) -> None:
    """What PMI costs: rating a reply's candidates without the talk, their prefix trees by levels and all at once."""
    import torch

    from dialogue.models.loading import load
    from dialogue.persona_cards import load_persona
    from eval.bench.scoring import measure_scoring

    torch.set_num_threads(threads or torch.get_num_threads())
    cost = measure_scoring(load(model), load_persona(persona), count, rounds)
    if as_json:
        typer.echo(json.dumps(asdict(cost)))
        return
    typer.echo(f"{cost.contexts} contexts: candidates of {cost.tokens:,} tokens, {cost.nodes:,} nodes of prefix trees")
    typer.echo(
        f"by levels {cost.levels_s:.2f} s, at once {cost.at_once_s:.2f} s, largest difference {cost.gap:.1e} nats"
    )
    typer.echo(f"whole replies {cost.reply_s:.2f} s, the rating at once included")


@app.command()
def page(
    file: Annotated[Path, typer.Option(help="The page to fill in")] = Path("docs/decoding.md"),
    model: Annotated[str | None, typer.Option(help="Name, folder or hub id; default: the default model")] = None,
    persona: Annotated[str, typer.Option(help="Persona card")] = "robin",
) -> None:
    """Write the model's real outputs into the page on decoding."""
    from dialogue.generator import Generator
    from dialogue.models.loading import load
    from dialogue.persona_cards import load_persona
    from eval.bench.page import filled, outputs

    if not file.is_file():
        raise UserError(f"There is no page {file}; run this in the repository, or name the page with --file.")
    text = filled(file.read_text(encoding="utf-8"), outputs(Generator(load(model)), load_persona(persona)))
    file.write_text(text, encoding="utf-8")
    typer.echo(f"{file}: filled in.")
