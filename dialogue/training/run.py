"""One training run from corpus to exported weights: the order of things. The command line calls it."""

from __future__ import annotations

import contextlib
import itertools
import json
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from dialogue.models.aligned import AlignedModel, aligned_from_llama
from dialogue.models.base import BaseCheckpoint, base_checkpoint
from dialogue.training import parallel
from dialogue.training.card import model_card
from dialogue.training.corpus import refuse_unshippable, split_talks
from dialogue.training.data import OWN, Data, Filtering, mix_of, prepare
from dialogue.training.evaluate import Score, in_chat_template, scores, validation
from dialogue.training.examples import Batch, Sampler, ahead, batches
from dialogue.training.export import export
from dialogue.training.footprint import Footprint, Meter, with_earlier
from dialogue.training.judged import JudgedTalks, read_judged
from dialogue.training.network import (
    ReplyLoss,
    build,
    compile_blocks,
    computing_dtype,
    start_from,
    trained_parameters,
)
from dialogue.training.preferences import JudgedBatch, JudgedLoss, judged_batches, with_reference
from dialogue.training.prepared import read_prepared, refuse_tokenizer, write_prepared
from dialogue.training.progress import tenths
from dialogue.training.recipes import Recipe
from dialogue.training.speed import Speed, operations, profile
from dialogue.training.tokenizer import kept_tokenizer
from dialogue.training.train import Observer, Progress, Trainer

Scores = dict[str, Score]


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run reads and writes: the corpus, its own folder, caches, and where the weights go (None: nowhere).

    ``prepared``: a folder of tokenised talks, read in place of the corpus. ``start``: exported adapters to begin with.
    ``preferences``: a file of judged replies to learn from beside the talks.
    """

    corpus: Path
    folder: Path
    cache: Path
    export: Path | None = None
    base_cache: Path | None = None
    prepared: Path | None = None
    start: Path | None = None
    preferences: Path | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """What to do around the training: how many replies of each source to measure (0: none), energy, research data."""

    measured_replies: int = 200
    quick_replies: int = 32
    country: str | None = "DEU"
    price_per_kwh: float = 0.30
    research: bool = False
    name: str = "chinwag-135m"


def run(
    recipe: Recipe,
    places: Places,
    filtering: Filtering,
    options: Options,
    say: Callable[[str], None],
    observe: Observer | None = None,
) -> dict[str, Any]:
    """Train by the recipe, going on from the folder's checkpoint where there is one; the record of the run."""
    parallel.start()
    try:
        return _run(recipe, places, filtering, options, say, observe)
    finally:
        parallel.stop()


def _run(
    recipe: Recipe,
    places: Places,
    filtering: Filtering,
    options: Options,
    say: Callable[[str], None],
    observe: Observer | None,
) -> dict[str, Any]:
    base = base_checkpoint(places.base_cache, say)
    tokenizer, data = the_data(recipe, places, base.folder, filtering, options.research, say)
    model = the_model(recipe, places, base, tokenizer)
    perplexity = measure_start(recipe, model, base.folder, tokenizer, data, options, say)
    judged = read_judged(places.preferences, tokenizer) if places.preferences else None
    if judged is not None:
        tell = tenths(len(judged.all), f"{judged.reply_count:,} judged replies, how likely they are at the start", say)
        judged = with_reference(places.folder, ReplyLoss(model), judged, tell)
    trainer = make_trainer(recipe, model, data, places.folder, options, observe, judged)
    with measuring(options) as meter:
        progress = trainer.run()
    if options.measured_replies and data.valid:
        say("Measuring on held-out talks …")
        add_scores(perplexity, "after", scores(model, validation(data.valid, options.measured_replies)))
    used = with_earlier(places.folder / "footprint.json", meter.footprint()) if meter else None
    record = make_record(recipe, options.name, data, progress, perplexity, used)
    if judged is not None:
        counts = {"talks": len(judged.all), "replies": judged.reply_count}
        record["preferences"] = {**counts, "sha256": judged.sha256}
    if parallel.rank() == 0:
        hand_over(places, model, recipe, tokenizer, base, record, say)
    return record


def hand_over(
    places: Places,
    model: AlignedModel,
    recipe: Recipe,
    tokenizer: Tokenizer,
    base: BaseCheckpoint,
    record: Mapping[str, Any],
    say: Callable[[str], None],
) -> None:
    """The run's record beside its log, and the weights where they are to go, when they are of a kind that goes."""
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    (places.folder / "record.json").write_text(text, encoding="utf-8")
    if recipe.tied:
        say(f"A tied network is for comparison only and is not exported; its figures are in {places.folder}.")
    elif places.export is not None:
        export(places.export, model, recipe, tokenizer, base.sha256, model_card(record), record)
        say(f"Weights written to {places.export}.")


def prepare_only(
    recipe: Recipe, places: Places, filtering: Filtering, research: bool, folder: Path, say: Callable[[str], None]
) -> None:
    """Read, clean and tokenise what the recipe learns from, into ``folder``, for a run elsewhere; train nothing."""
    base = base_checkpoint(places.base_cache, say)
    tokenizer, data = the_data(recipe, places, base.folder, filtering, research, say)
    size = write_prepared(folder, data, tokenizer)
    count = sum(len(talks.ids) for talks in data.train.values())
    say(f"{count:,} tokens of {len(data.train)} sources in {folder}, {size / 1e6:.1f} MB.")


def measure_speed(
    recipe: Recipe, places: Places, filtering: Filtering, research: bool, steps: int, say: Callable[[str], None]
) -> Speed:
    """Time some steps of a run that keeps nothing; the profiler's table goes to ``profile.txt`` in the run's folder."""
    base = base_checkpoint(places.base_cache, say)
    tokenizer, data = the_data(recipe, places, base.folder, filtering, research, say)
    model = the_model(recipe, places, base, tokenizer)
    plain = replace(recipe, compile=False)
    trainer = make_trainer(plain, model, data, places.folder, Options(quick_replies=0, country=None), None)
    some = list(itertools.islice(trainer.batches_from(0), steps))
    counted = [operations(trainer.loss_of, batch) for batch in some]
    trainer.optimizer.zero_grad(set_to_none=True)
    _compile_where_asked(recipe, model)
    return profile(trainer, some, counted, places.folder / "profile.txt")


def the_device() -> torch.device:
    """This process's accelerator where there is one, else the processor."""
    if torch.cuda.is_available():
        return torch.device("cuda", parallel.rank() % torch.cuda.device_count())
    return torch.device("cpu")


def the_data(
    recipe: Recipe, places: Places, base: Path, filtering: Filtering, research: bool, say: Callable[[str], None]
) -> tuple[Tokenizer, Data]:
    """The run's tokenizer and talks: those prepared elsewhere where a folder of them is given, else the corpus's.

    Raises UserError when the prepared ones are of another tokenizer, or of sources no shipped model may learn from.
    """
    if places.prepared is None:
        tokenizer = the_tokenizer(recipe, places, base, say)
        return tokenizer, prepare(recipe, places.corpus, tokenizer, filtering, places.cache, say, research)
    tokenizer, data = read_prepared(places.prepared)
    if recipe.method != "scratch":
        refuse_tokenizer(data.manifest, the_tokenizer(recipe, places, base, say), places.prepared)
    if not research:
        refuse_unshippable(data.manifest["sources"], data.weights)
    return tokenizer, data


def the_model(recipe: Recipe, places: Places, base: BaseCheckpoint, tokenizer: Tokenizer) -> AlignedModel:
    """The recipe's network on this process's device, begun with earlier adapters where some are given."""
    model = build(recipe, base.folder, tokenizer.get_vocab_size()).to(the_device())
    if places.start is not None:
        start_from(places.start, model, base.sha256)
    return model


def the_tokenizer(recipe: Recipe, places: Places, base: Path, say: Callable[[str], None]) -> Tokenizer:
    """The base's tokenizer, or for a network from scratch one trained on the mix's own talks."""
    if recipe.method != "scratch":
        return Tokenizer.from_file(str(base / "tokenizer.json"))
    say("Training a tokenizer …")
    texts = (
        text
        for source in mix_of(recipe, places.corpus)
        for talk in split_talks(places.corpus, source, "train")
        for _, text in talk.turns
    )
    return kept_tokenizer(places.folder / "tokenizer.json", texts, recipe.shape.vocabulary)


def make_trainer(
    recipe: Recipe,
    model: AlignedModel,
    data: Data,
    folder: Path,
    options: Options,
    observe: Observer | None,
    judged: JudgedTalks | None = None,
) -> Trainer:
    """The trainer of a network on prepared data and judged replies, with quick validation on the way."""
    sampler = Sampler(data.train, data.weights, recipe.windows, recipe.seed, bot_only=OWN)
    share = (parallel.rank(), parallel.world_size())

    def batches_from(number: int) -> Iterator[Batch]:
        made = batches(sampler, recipe.batch_tokens, number, share)
        return ahead(made) if torch.cuda.is_available() else made

    questions = validation(data.valid, options.quick_replies) if options.quick_replies else {}

    def validate() -> dict[str, float]:
        return {name: score.nats_per_word for name, score in scores(model, questions).items()}

    def judged_from(number: int) -> Iterator[JudgedBatch]:
        assert judged is not None
        return judged_batches(batches_from(number), judged, recipe.preferences.talks, recipe.seed, number, share)

    loss = ReplyLoss(model, recipe.loss)
    _compile_where_asked(recipe, model)
    check, trained = validate if questions else None, trained_parameters(model)
    if judged is None:
        return Trainer(trained, loss, batches_from, recipe.train, folder, check, observe)
    return Trainer(trained, JudgedLoss(loss, recipe.preferences), judged_from, recipe.train, folder, check, observe)


def _compile_where_asked(recipe: Recipe, model: AlignedModel) -> None:
    if recipe.compile and torch.cuda.is_available():
        compile_blocks(model)


def measure_start(
    recipe: Recipe,
    model: AlignedModel,
    base: Path,
    tokenizer: Tokenizer,
    data: Data,
    options: Options,
    say: Callable[[str], None],
) -> dict[str, dict[str, dict[str, float]]]:
    """Perplexity of the base through its chat template, and of the network before training."""
    perplexity: dict[str, dict[str, dict[str, float]]] = {}
    if not options.measured_replies or not data.valid or parallel.rank() != 0:
        return perplexity
    say("Measuring the start on held-out talks …")
    if recipe.method != "scratch":
        plain = aligned_from_llama(base, "causal", computing_dtype()).to(the_device())
        questions = validation(data.valid, options.measured_replies, in_chat_template(tokenizer))
        add_scores(perplexity, "base", scores(plain, questions))
    add_scores(perplexity, "before", scores(model, validation(data.valid, options.measured_replies)))
    return perplexity


def add_scores(perplexity: dict[str, dict[str, dict[str, float]]], who: str, found: Mapping[str, Score]) -> None:
    """File the scores of one network under its name."""
    for source, score in found.items():
        values = {"perplexity": score.perplexity, "perplexity_of_words": score.perplexity_of_words}
        counts = {"nats_per_word": score.nats_per_word, "replies": score.replies, "words": score.words}
        perplexity.setdefault(source, {})[who] = {**values, **counts}


@contextlib.contextmanager
def measuring(options: Options) -> Iterator[Meter | None]:
    """A running meter, or none when no country is given."""
    if options.country is None or parallel.rank() != 0:
        yield None
        return
    with Meter(options.country, options.price_per_kwh) as meter:
        yield meter


def make_record(
    recipe: Recipe,
    name: str,
    data: Data,
    progress: Progress,
    perplexity: Mapping[str, Any],
    footprint: Footprint | None,
) -> dict[str, Any]:
    """Everything about the run that goes with its weights."""
    read = sum(data.weights[s] * len(talks.ids) for s, talks in data.train.items())
    return {
        "name": name,
        "recipe": recipe.described(),
        "data": data.manifest,
        "run": {
            "steps": progress.step,
            "minutes": round(progress.seconds / 60, 1),
            "tokens": progress.tokens,
            "targets": progress.targets,
            "passes": round(progress.targets / read, 4) if read else 0.0,
        },
        "perplexity": perplexity,
        "machine": {
            "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU ({platform.machine()})",
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "dtype": str(computing_dtype()).removeprefix("torch."),
            "processes": parallel.world_size(),
        },
        "footprint": asdict(footprint) if footprint else None,
    }
