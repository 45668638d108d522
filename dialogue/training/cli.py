"""``chinwag train``: one command from a folder of conversations to weights that chat."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dialogue.errors import UserError

if TYPE_CHECKING:
    from dialogue.training.data import Filtering
    from dialogue.training.recipes import Recipe
    from dialogue.training.run import Places

app = typer.Typer(add_completion=False, help="Train a dialogue model: the one we ship, or your own.")

FilterMaker = Callable[[], Callable[[str], str | None]]
"""What ``chinwag.py`` hands in as ``ctx.obj["text_filter"]``: it makes the safety layer's filter for training lines."""


@app.command()
def train(
    ctx: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of conversations (JSON Lines).", file_okay=False)] = None,
    recipe: Annotated[str, typer.Option(help="cpu, h100, full, decoder-only or scratch.")] = "cpu",
    out: Annotated[Path, typer.Option(help="The run's folder: checkpoint, log, curves.")] = Path("runs/latest"),
    export: Annotated[Path | None, typer.Option(help="Where the trained weights go; default: OUT/export.")] = None,
    name: Annotated[str, typer.Option(help="The model's name, for its card.")] = "chinwag-135m",
    minutes: Annotated[float | None, typer.Option(help="Budget of training time; also sets the schedule.")] = None,
    steps: Annotated[int | None, typer.Option(help="Budget in steps instead.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapters.")] = None,
    encoder: Annotated[str | None, typer.Option(help="bidirectional or causal.")] = None,
    mix: Annotated[str | None, typer.Option(help="A mix of the folder's mixes.json, in place of the recipe's.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Padded tokens of one batch.")] = None,
    accumulate: Annotated[int | None, typer.Option(help="Batches before each step.")] = None,
    smoothing: Annotated[float | None, typer.Option(help="Label smoothing.")] = None,
    unlikelihood: Annotated[float | None, typer.Option(help="Weight of the loss against repeats.")] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many validations without progress.")] = None,
    width: Annotated[int | None, typer.Option(help="From scratch: width of the network.")] = None,
    layers: Annotated[int | None, typer.Option(help="From scratch: layers.")] = None,
    heads: Annotated[int | None, typer.Option(help="From scratch: attention heads.")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="From scratch: size of the tokenizer's vocabulary.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and order.")] = None,
    threads: Annotated[int | None, typer.Option(help="Processor threads.")] = None,
    measured: Annotated[int, typer.Option(help="Held-out replies of each source to measure; 0: none.")] = 200,
    country: Annotated[str, typer.Option(help="ISO alpha-3 country, for the power; empty: no metering.")] = "DEU",
    price: Annotated[float, typer.Option(help="Price of a kWh, for the cost.")] = 0.30,
    cache: Annotated[Path | None, typer.Option(help="Cache of tokenised corpora; default: the user's.")] = None,
    prepare: Annotated[Path | None, typer.Option(help="Only tokenise, into this folder.")] = None,
    prepared: Annotated[Path | None, typer.Option(help="Train on what --prepare made.", file_okay=False)] = None,
    start: Annotated[Path | None, typer.Option(help="Begin with exported adapters.", file_okay=False)] = None,
    preferences: Annotated[Path | None, typer.Option(help="Also learn from judged replies (JSON Lines).")] = None,
    compiled: Annotated[bool | None, typer.Option("--compile/--no-compile", help="Compile, on a GPU.")] = None,
    recompute: Annotated[bool | None, typer.Option("--recompute/--keep", help="Save memory, lose time.")] = None,
    profile: Annotated[int, typer.Option(help="Only time so many steps, and their share of the chip's rate.")] = 0,
    research: Annotated[bool, typer.Option("--research", help="Allow sources that no shipped model may use.")] = False,
    unfiltered: Annotated[bool, typer.Option("--unfiltered", help="Learn from every turn, rude or private.")] = False,
    ladder: Annotated[bool, typer.Option("--ladder", help="Train a ladder of sizes and fit the scaling law.")] = False,
) -> None:
    """Train by a recipe, go on after a stop, measure on held-out talks, and export weights with a model card."""
    if (data is None) == (prepared is None):
        raise UserError("Say where the conversations are: chinwag train --data FOLDER, or --prepared FOLDER")
    changes = {
        "learning_rate": learning_rate, "rank": rank, "alpha": None if rank is None else float(rank),
        "encoder": _kind(encoder), "mix": mix, "batch_tokens": batch_tokens, "accumulate": accumulate,
        "smoothing": smoothing, "unlikelihood": unlikelihood, "patience": patience, "width": width, "layers": layers,
        "heads": heads, "vocabulary": vocabulary, "seed": seed, "compile": compiled, "recompute": recompute,
    }  # fmt: skip
    chosen = _recipe(recipe, minutes, steps, changes)
    _use_threads(threads)
    around = {"measured_replies": measured, "quick_replies": min(measured, 32), "name": name, "research": research}
    around |= {"country": country or None, "price_per_kwh": price}
    places = _places(data, out, cache, export or out / "export", prepared, start, preferences)
    filtering = _no_filter() if prepared else _filtering(ctx.obj, unfiltered)
    _do(chosen, places, filtering, around, prepare, profile, ladder)


def _do(
    recipe: Recipe,
    places: Places,
    filtering: Filtering,
    around: dict[str, Any],
    prepare: Path | None,
    profile: int,
    ladder: bool,
) -> None:
    if prepare is not None:
        _prepare(recipe, places, filtering, around["research"], prepare)
    elif profile:
        _profile(recipe, places, filtering, around["research"], profile)
    else:
        (_climb if ladder else _train)(recipe, places, filtering, around)


def _prepare(recipe: Recipe, places: Places, filtering: Filtering, research: bool, folder: Path) -> None:
    from dialogue.training.run import prepare_only

    prepare_only(recipe, places, filtering, research, folder, lambda line: typer.echo(line, err=True))


def _profile(recipe: Recipe, places: Places, filtering: Filtering, research: bool, steps: int) -> None:
    from dialogue.training.run import measure_speed

    typer.echo(measure_speed(recipe, places, filtering, research, steps, lambda line: typer.echo(line, err=True)))


def _recipe(name: str, minutes: float | None, steps: int | None, changes: Mapping[str, Any]) -> Recipe:
    from dialogue.training.recipes import recipe_named

    if minutes is not None and steps is not None:
        raise UserError("Give --minutes or --steps, not both.")
    return _with_budget(recipe_named(name), minutes, steps).with_(**changes)


def _places(
    data: Path | None,
    out: Path,
    cache: Path | None,
    export: Path,
    prepared: Path | None,
    start: Path | None,
    preferences: Path | None,
) -> Places:
    from dialogue.models.base import default_cache
    from dialogue.training.run import Places

    where = cache or default_cache() / "corpora"
    return Places(data or Path(), out, where, export, prepared=prepared, start=start, preferences=preferences)


def _with_budget(recipe: Recipe, minutes: float | None, steps: int | None) -> Recipe:
    from dataclasses import replace

    if minutes is None and steps is None:
        return recipe
    return replace(recipe, train=replace(recipe.train, minutes=minutes, steps=steps))


def _kind(encoder: str | None) -> str | None:
    if encoder not in (None, "bidirectional", "causal"):
        raise UserError(f"--encoder is bidirectional or causal, not {encoder!r}.")
    return encoder


def _use_threads(threads: int | None) -> None:
    if threads:
        import torch

        torch.set_num_threads(threads)


def _no_filter() -> Filtering:
    """Prepared talks are filtered already."""
    from dialogue.training.corpus import allow_all
    from dialogue.training.data import Filtering

    return Filtering("none", lambda: allow_all)


def _filtering(handed_in: object, unfiltered: bool) -> Filtering:
    from dialogue.training.data import Filtering

    if unfiltered:
        return _no_filter()
    make: FilterMaker | None = handed_in.get("text_filter") if isinstance(handed_in, Mapping) else None
    if make is None:
        raise UserError("No filter for the training turns was handed in; add --unfiltered to learn from all of them.")
    return Filtering("safety layer", make)


def _first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


def _train(recipe: Recipe, places: Places, filtering: Filtering, around: dict[str, Any]) -> None:
    from rich.console import Console

    from dialogue.training.curves import plot_curves
    from dialogue.training.progress import Bar
    from dialogue.training.run import Options, run

    options = Options(**around)
    console = Console(stderr=True, quiet=not _first_process())
    with Bar(console) as bar:
        record = run(recipe, places, filtering, options, lambda line: console.print(line, highlight=False), bar)
    if _first_process():
        plot_curves(places.folder / "log.jsonl", places.folder / "curves.png")
        _show(console, record)


def _show(console: Any, record: Mapping[str, Any]) -> None:
    from rich.table import Table

    run = record["run"]
    console.print(f"{run['steps']:,} steps, {run['tokens']:,} tokens, {run['minutes']:.1f} minutes.", highlight=False)
    table = Table("held-out source", "base", "before", "after", title="perplexity per word")
    for source, scores in record["perplexity"].items():
        cells = (f"{scores[who]['perplexity']:.1f}" if who in scores else "-" for who in ("base", "before", "after"))
        table.add_row(source, *cells)
    if record["perplexity"]:
        console.print(table)


def _climb(recipe: Recipe, places: Places, filtering: Filtering, around: dict[str, Any]) -> None:
    from rich.console import Console

    from dialogue.training.scaling import climb, describe

    console = Console(stderr=True)
    law = climb(recipe, places, filtering, around["research"], lambda line: console.print(line, highlight=False))
    console.print(describe(law), highlight=False)
