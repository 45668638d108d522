from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedConfig, AlignedModel
from dialogue.models.base import NAME
from dialogue.models.loading import load
from dialogue.training import cli
from dialogue.training.card import model_card
from dialogue.training.data import Filtering
from dialogue.training.export import compact, split_by_size
from dialogue.training.footprint import Meter
from dialogue.training.network import build
from dialogue.training.recipes import RECIPES, Method, Shape, recipe_named
from dialogue.training.run import Options, Places, run
from dialogue.training.train import Progress
from tests.dialogue.training.tiny import tiny

QUIET = Options(measured_replies=0, quick_replies=0, country=None)


def test_a_run_learns_and_its_export_says_what_the_trained_network_said(places: Places, no_filter: Filtering) -> None:
    options = Options(measured_replies=20, quick_replies=8, country=None, name="tiny-chat")
    record = run(tiny(steps=40), places, no_filter, options, lambda line: None)
    for source in ("chat", "facts"):
        scores = record["perplexity"][source]
        assert scores["after"]["perplexity"] < scores["before"]["perplexity"] / 2
        assert scores["base"]["words"] == scores["after"]["words"]
    assert places.export is not None and places.base_cache is not None
    chat = load(str(places.export), cache=places.base_cache, dtype="float32")
    model = build(tiny(), places.base_cache / "models" / NAME, 0).to(torch.float32).train(False)
    state = torch.load(places.folder / "checkpoint.pt", weights_only=True)["weights"]
    model.load_state_dict(state, strict=False)
    ids, mask = torch.tensor([[40, 50, 60, 2]]), torch.ones(1, 4, dtype=torch.long)
    with torch.inference_mode():
        ours = model(ids, mask, torch.tensor([[1]]))[0, -1].log_softmax(-1)
        theirs, _ = chat.seq2seq.step(torch.tensor([1]), chat.seq2seq.encode(ids, mask))
    torch.testing.assert_close(theirs[0], ours, atol=0.08, rtol=0.05)
    assert theirs[0].argmax() == ours.argmax()


def test_the_export_is_small_files_with_a_configuration_a_record_and_a_card(
    places: Places, no_filter: Filtering
) -> None:
    run(tiny(steps=1), places, no_filter, QUIET, lambda line: None)
    assert places.export is not None
    config = json.loads((places.export / "config.json").read_text())
    assert {"base_sha256": "tiny", "format": "turns", "encoder": "bidirectional"}.items() <= config.items()
    record = json.loads((places.export / "training.json").read_text())
    assert record["data"]["sources"]["facts"]["weight"] == 2
    assert "CC BY" not in (places.export / "MODEL_CARD.md").read_text()
    assert "facts" in (places.export / "MODEL_CARD.md").read_text()
    files = list(places.export.glob("adapters-*.safetensors"))
    assert {tensor.dtype for file in files for n, tensor in load_file(file).items() if n.endswith("down")} == {
        torch.bfloat16
    }


def test_a_folder_of_other_things_is_never_replaced(places: Places, no_filter: Filtering) -> None:
    assert places.export is not None
    places.export.mkdir()
    (places.export / "letters.txt").write_text("mine")
    with pytest.raises(UserError, match="no trained weights"):
        run(tiny(steps=1), places, no_filter, QUIET, lambda line: None)
    assert (places.export / "letters.txt").read_text() == "mine"


def test_large_weights_are_split_into_files_that_fit() -> None:
    tensors = {f"t{n}": torch.zeros(10) for n in range(7)}
    parts = split_by_size(tensors, 80)
    assert [len(part) for part in parts] == [2, 2, 2, 1]
    assert sorted(name for part in parts for name in part) == sorted(tensors)
    assert compact("a.norm.weight", torch.zeros(1)).dtype == torch.float32


@pytest.mark.parametrize("changes", [{"method": "full"}, {"method": "scratch"}, {"tied": True, "encoder": "causal"}])
def test_the_other_ways_to_train_learn_too(places: Places, no_filter: Filtering, changes: dict[str, Any]) -> None:
    losses: list[float] = []

    def watch(progress: Progress, done: float, record: dict[str, float]) -> None:
        losses.append(record["loss"])

    where = Places(places.corpus, places.folder, places.cache, None, places.base_cache)
    rate = 3e-3 if changes.get("method") == "full" else 1e-2
    run(tiny(steps=25, learning_rate=rate, **changes), where, no_filter, QUIET, lambda line: None, watch)
    assert sum(losses[-3:]) < sum(losses[:3]) * 0.93


@pytest.mark.parametrize("method", ["full", "scratch"])
def test_a_network_trained_whole_is_loaded_from_its_export(
    places: Places, no_filter: Filtering, method: Method
) -> None:
    run(tiny(steps=3, method=method), places, no_filter, QUIET, lambda line: None)
    chat = load(str(places.export), cache=places.base_cache, dtype="float32")
    model = AlignedModel(chat_config(places)).train(False)
    assert places.export is not None
    model.load_state_dict({n: t.float() for n, t in load_file(places.export / "model.safetensors").items()})
    ids, mask = torch.tensor([[40, 50, 60, 2]]), torch.ones(1, 4, dtype=torch.long)
    with torch.inference_mode():
        theirs, _ = chat.seq2seq.step(torch.tensor([1]), chat.seq2seq.encode(ids, mask))
        ours = model(ids, mask, torch.tensor([[1]]))[0, -1].log_softmax(-1)
    torch.testing.assert_close(theirs[0], ours, atol=1e-3, rtol=1e-3)
    assert chat.vocabulary.decode(chat.vocabulary.encode("Hi there!")) == "Hi there!"


def chat_config(places: Places) -> AlignedConfig:
    assert places.export is not None
    settings = json.loads((places.export / "config.json").read_text())
    return AlignedConfig.from_llama(settings, settings["encoder"])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_can_be_rehearsed(places: Places, no_filter: Filtering, name: str) -> None:
    recipe = recipe_named(name)
    short = replace(recipe.train, minutes=None, steps=2)
    shape = Shape(width=32, layers=2, heads=2, vocabulary=300)
    recipe = replace(recipe, train=short, mix="both", weights={}, measured=(), batch_tokens=512, shape=shape)
    where = Places(places.corpus, places.folder, places.cache, None, places.base_cache)
    record = run(recipe, where, no_filter, QUIET, lambda line: None)
    assert record["run"]["steps"] == 2
    assert set(recipe.own) <= set(record["data"]["sources"])


def test_a_decoder_only_run_ends_with_its_figures_and_no_export(places: Places, no_filter: Filtering) -> None:
    said: list[str] = []
    options = Options(measured_replies=4, quick_replies=0, country=None)
    run(tiny(steps=1, tied=True, encoder="causal"), places, no_filter, options, said.append)
    assert "comparison only" in said[-1]
    assert places.export is not None
    assert not places.export.exists()
    record = json.loads((places.folder / "record.json").read_text())
    assert record["perplexity"]["chat"]["after"]["replies"] == 4


def test_the_comparison_recipe_differs_from_the_shipped_one_by_the_form_alone() -> None:
    ours, plain = recipe_named("cpu"), recipe_named("decoder-only")
    assert replace(plain, name="cpu", note=ours.note, encoder="bidirectional", tied=False) == ours


def test_a_run_can_begin_with_exported_adapters(places: Places, no_filter: Filtering, tmp_path: Path) -> None:
    losses: list[float] = []

    def watch(progress: Progress, done: float, record: dict[str, float]) -> None:
        losses.append(record["loss"])

    run(tiny(steps=30), places, no_filter, QUIET, lambda line: None, watch)
    further = replace(places, folder=tmp_path / "further", export=None, start=places.export)
    run(tiny(steps=1), further, no_filter, QUIET, lambda line: None, watch)
    assert losses[30] < losses[0] - 0.5  # the same batch, which fresh adapters met first
    with pytest.raises(UserError, match="same rank"):
        run(tiny(steps=1, rank=2), replace(further, folder=tmp_path / "r2"), no_filter, QUIET, lambda line: None)
    with pytest.raises(UserError, match="no adapters that fit"):
        run(tiny(steps=1), replace(further, start=tmp_path), no_filter, QUIET, lambda line: None)
    assert places.export is not None
    config = json.loads((places.export / "config.json").read_text())
    (places.export / "config.json").write_text(json.dumps(config | {"base_sha256": "other"}))
    with pytest.raises(UserError, match="another base model"):
        run(tiny(steps=1), replace(further, folder=tmp_path / "b"), no_filter, QUIET, lambda line: None)


def test_smoothing_and_unlikelihood_are_options_of_the_same_run(places: Places, no_filter: Filtering) -> None:
    where = Places(places.corpus, places.folder, places.cache, None, places.base_cache)
    record = run(tiny(smoothing=0.1, unlikelihood=0.5), where, no_filter, QUIET, lambda line: None)
    assert record["recipe"]["loss"] == {"smoothing": 0.1, "unlikelihood": 0.5, "repeat_ngram": 1}


WORKER = """
import sys
from pathlib import Path
import torch
from dialogue.training import parallel, run as r
from dialogue.training.corpus import allow_all
from dialogue.training.data import Filtering, prepare
from tests.dialogue.training.tiny import tiny
corpus, cache, base, out = map(Path, sys.argv[1:])
torch.set_num_threads(1)
parallel.start()
where = r.Places(corpus, out / str(parallel.rank()), cache / str(parallel.rank()), None, base)
recipe = tiny(steps=4)
tokenizer = r.the_tokenizer(recipe, where, base / "models" / r.base_checkpoint(base).folder.name, print)
data = prepare(recipe, corpus, tokenizer, Filtering("none", lambda: allow_all), where.cache, print)
model = r.build(recipe, r.base_checkpoint(base).folder, tokenizer.get_vocab_size())
options = r.Options(quick_replies=0, country=None)
trainer = r.make_trainer(recipe, model, data, where.folder, options, None)
trainer.run()
torch.save({n: p.detach() for n, p in trainer.trained.items()}, out / f"{parallel.rank()}.pt")
parallel.stop()
"""


def test_two_processes_end_with_the_same_weights_as_one_that_takes_both_their_batches(
    places: Places, no_filter: Filtering, tmp_path: Path
) -> None:
    assert places.base_cache is not None
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    paths = [str(places.corpus), str(tmp_path / "cache"), str(places.base_cache), str(tmp_path)]
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script), *paths]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = Places(places.corpus, tmp_path / "alone", places.cache, None, places.base_cache)
    run(tiny(steps=4, accumulate=2), alone, no_filter, QUIET, lambda line: None)
    both = torch.load(tmp_path / "alone" / "checkpoint.pt", weights_only=True)["weights"]
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, second[name], rtol=0, atol=0)
        torch.testing.assert_close(tensor, both[name], rtol=2e-2, atol=2e-3)


def test_the_command_trains_exports_and_draws_its_curves(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "tiny", tiny())
    monkeypatch.setattr("dialogue.models.base.default_cache", lambda: places.base_cache)
    arguments = ["--data", str(places.corpus), "--recipe", "tiny", "--out", str(places.folder), "--steps", "3",
                 "--measured", "4", "--country", "", "--cache", str(places.cache), "--rank", "2"]  # fmt: skip
    result = CliRunner().invoke(cli.app, arguments, obj={"text_filter": lambda: lambda text: None})
    assert result.exit_code == 0, result.output
    assert (places.folder / "curves.png").is_file()
    assert json.loads((places.folder / "export" / "config.json").read_text())["rank"] == 2


def test_mistakes_on_the_command_line_get_one_sentence(places: Places) -> None:
    runner, data = CliRunner(), ["--data", str(places.corpus)]
    cases = {
        "where the conversations are": [],
        "not both": [*data, "--minutes", "1", "--steps", "2"],
        "no recipe 'cpuu'": [*data, "--recipe", "cpuu"],
        "bidirectional or causal": [*data, "--encoder", "both"],
        "--unfiltered": data,
    }
    for sentence, arguments in cases.items():
        error = runner.invoke(cli.app, arguments).exception
        assert isinstance(error, UserError)
        assert sentence in str(error)


def test_recipes_keep_what_they_are_not_asked_to_change() -> None:
    changed = recipe_named("cpu").with_(rank=8, smoothing=0.1, learning_rate=None, seed=4)
    assert (changed.adapters.rank, changed.loss.smoothing, changed.seed) == (8, 0.1, 4)
    assert changed.train == recipe_named("cpu").train
    with pytest.raises(UserError, match="did you mean 'h100'"):
        recipe_named("h10")


def test_a_card_shows_sources_perplexities_and_energy() -> None:
    source = {"licence_class": "permissive", "words_kept": 1234, "talks_kept": 5, "share": 0.5, "dropped": {"hate": 2},
              "near_duplicates": 1, "test_overlaps": 0}  # fmt: skip
    record = {
        "name": "x",
        "recipe": recipe_named("cpu").described(),
        "data": {"sources": {"chitchat": source, "other": source}},
        "run": {"steps": 1, "tokens": 2, "targets": 1, "passes": 0.5, "minutes": 90.0},
        "perplexity": {
            "chitchat": {
                "base": {"perplexity": 100.0, "perplexity_of_words": 80.0, "replies": 7},
                "after": {"perplexity": 40.0, "perplexity_of_words": 50.0, "replies": 7},
            }
        },
        "machine": {"device": "CPU", "threads": 2, "torch": "2"},
        "footprint": {
            "energy_kwh": 0.05,
            "co2_kg": 0.02,
            "cost": 0.015,
            "price_per_kwh": 0.3,
            "country": "DEU",
            "hours": 1.5,
        },
    }
    card = model_card(record, samples="> Hi!")
    for expected in ("MIT", "1,234", "hate 2", "60%", "0.050 kWh", "20 g", "> Hi!", "Known limits"):
        assert expected in card


def test_energy_is_counted_while_it_is_used() -> None:
    with Meter("FRA", price_per_kwh=0.5) as meter:
        sum(range(3_000_000))
    used = meter.footprint()
    assert 0 < used.energy_kwh < 0.1
    assert used.cost == pytest.approx(used.energy_kwh * 0.5)
    assert 0 < used.co2_kg < used.energy_kwh
