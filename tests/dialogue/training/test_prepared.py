from __future__ import annotations

import builtins
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from dialogue.errors import UserError
from dialogue.training import cli
from dialogue.training.corpus import TextFilter
from dialogue.training.data import Filtering
from dialogue.training.prepared import read_prepared, write_prepared
from dialogue.training.recipes import RECIPES
from dialogue.training.run import Options, Places, prepare_only, run, the_data
from dialogue.training.tokenizer import train_tokenizer
from dialogue.training.tokens import ARRAYS, tokenizer_sha256
from tests.dialogue.training.tiny import tiny

QUIET = Options(measured_replies=0, quick_replies=0, country=None)
OWN = {"identity": 1.0}


@pytest.fixture
def folder(places: Places, no_filter: Filtering, tmp_path: Path) -> Path:
    prepare_only(tiny(), places, no_filter, False, tmp_path / "prepared", lambda line: None)
    return tmp_path / "prepared"


@pytest.fixture
def folder_with_own_talks(places: Places, no_filter: Filtering, tmp_path: Path) -> Path:
    prepare_only(tiny(own=OWN), places, no_filter, False, tmp_path / "prepared", lambda line: None)
    return tmp_path / "prepared"


def never() -> TextFilter:
    raise AssertionError("prepared talks are filtered already")


def test_prepared_talks_are_the_talks_of_the_corpus(places: Places, no_filter: Filtering, folder: Path) -> None:
    assert places.base_cache is not None
    base = next((places.base_cache / "models").iterdir())
    _, expected = the_data(tiny(), places, base, no_filter, False, lambda line: None)
    tokenizer, data = read_prepared(folder)
    assert (data.weights, data.manifest) == (expected.weights, expected.manifest)
    assert tokenizer.get_vocab_size() == 320
    for ours, theirs in ((data.train, expected.train), (data.valid, expected.valid)):
        assert list(ours) == list(theirs)
        for source, talks in ours.items():
            for name in ARRAYS:
                np.testing.assert_array_equal(getattr(talks, name), getattr(theirs[source], name))


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()]


def test_a_machine_without_corpora_and_without_zstandard_learns_the_same(
    places: Places,
    no_filter: Filtering,
    folder_with_own_talks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run(tiny(own=OWN), places, no_filter, QUIET, lambda line: None)
    real = builtins.__import__

    def without(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> object:
        if name.split(".")[0] in ("zstandard", "codecarbon", "safety"):
            raise ImportError(f"{name} is not on this machine")
        return real(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without)
    there = Places(tmp_path / "nowhere", tmp_path / "there", tmp_path / "no", places.export, places.base_cache)
    elsewhere = replace(there, prepared=folder_with_own_talks)
    run(tiny(own=OWN), elsewhere, Filtering("none", never), QUIET, lambda line: None)
    assert losses(elsewhere.folder) == losses(places.folder)
    assert elsewhere.export is not None
    assert (elsewhere.export / "MODEL_CARD.md").is_file()


def test_the_command_prepares_and_trains_on_what_it_prepared(
    places: Places, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "tiny", tiny())
    monkeypatch.setattr("dialogue.models.base.default_cache", lambda: places.base_cache)
    here = ["--data", str(places.corpus), "--cache", str(places.cache), "--prepare", str(tmp_path / "p")]
    done = CliRunner().invoke(cli.app, ["--recipe", "tiny", *here, "--unfiltered"])
    assert done.exit_code == 0, done.output
    assert "tokens of 2 sources" in done.output
    there = ["--prepared", str(tmp_path / "p"), "--out", str(places.folder), "--country", "", "--measured", "0"]
    done = CliRunner().invoke(cli.app, ["--recipe", "tiny", *there, "--steps", "2"])
    assert done.exit_code == 0, done.output
    assert (places.folder / "export" / "config.json").is_file()


def test_prepared_talks_keep_to_the_licences(folder: Path, places: Places, no_filter: Filtering) -> None:
    record = json.loads((folder / "prepared.json").read_text())
    record["manifest"]["sources"]["chat"]["licence_class"] = "research"
    (folder / "prepared.json").write_text(json.dumps(record))
    where = replace(places, prepared=folder)
    with pytest.raises(UserError, match="chat"):
        run(tiny(), where, no_filter, QUIET, lambda line: None)
    run(tiny(steps=1), where, no_filter, replace(QUIET, research=True), lambda line: None)


def test_talks_of_another_tokenizer_are_refused(
    folder: Path, places: Places, no_filter: Filtering, tmp_path: Path
) -> None:
    _, data = read_prepared(folder)
    other = train_tokenizer(["some other words"], 280)
    write_prepared(folder, data, other)
    with pytest.raises(UserError, match="another tokenizer"):
        read_prepared(folder)
    manifest = data.manifest | {"tokenizer_sha256": tokenizer_sha256(other)}
    write_prepared(folder, replace(data, manifest=manifest), other)
    with pytest.raises(UserError, match="another tokenizer"):
        run(tiny(), replace(places, prepared=folder), no_filter, QUIET, lambda line: None)


@pytest.mark.parametrize("name", ["prepared.json", "tokenizer.json", "chat.train.npz"])
def test_a_damaged_folder_gets_one_sentence(folder: Path, name: str) -> None:
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(UserError, match="no prepared talks that can be read"):
        read_prepared(folder)


def test_a_folder_of_other_things_is_never_replaced(folder: Path, tmp_path: Path) -> None:
    tokenizer, data = read_prepared(folder)
    write_prepared(folder, data, tokenizer)
    other = tmp_path / "letters"
    shutil.copytree(folder, other)
    (other / "prepared.json").unlink()
    with pytest.raises(UserError, match="no prepared talks; name another"):
        write_prepared(other, data, tokenizer)
    assert (other / "tokenizer.json").is_file()
