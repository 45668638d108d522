from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from dialogue.errors import UnknownName, UserError
from dialogue.models.aligned import AlignedConfig, aligned_state
from dialogue.models.base import BaseCheckpoint
from dialogue.models.catalogue import CATALOGUE, TRAINED_NAME, Source, default_name, is_on_disk
from dialogue.models.chat_model import ChatModel
from dialogue.models.formats import TurnsFormat
from dialogue.models.loading import load
from tests.dialogue.models.tiny_aligned import batch
from tests.dialogue.models.tiny_checkpoints import make


@pytest.fixture
def bart(tmp_path: Path) -> Path:
    return make("bart", tmp_path / "bart")


def refusal(name: str | Path, **options: Any) -> str:
    """The one sentence a person gets."""
    with pytest.raises(UserError) as caught:
        load(str(name), **options)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownName) as caught:
        load("dialogpt-smal")
    assert caught.value.nearest == "dialogpt-small"


def test_an_unknown_dtype_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownName) as caught:
        load("dialogpt-small", dtype="bfloat")
    assert caught.value.nearest == "bfloat16"


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere", "a/b/c"])
def test_a_folder_that_is_not_there_is_named(name: str) -> None:
    assert "nowhere" in refusal(name) or "a/b/c" in refusal(name)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    assert "config.json" in refusal(tmp_path)


def test_a_file_is_no_folder(bart: Path) -> None:
    assert "is a file" in refusal(bart / "model.safetensors")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"a": 1}', '{"model_type": 3}'])
def test_a_damaged_configuration_is_refused(bart: Path, content: str) -> None:
    (bart / "config.json").write_text(content)
    assert str(bart) in refusal(bart)


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2", "llama-chatml"])
def test_damaged_weights_are_refused(tmp_path: Path, family: str) -> None:
    folder = make(family, tmp_path / family)
    whole = (folder / "model.safetensors").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"not weights at all"):
        (folder / "model.safetensors").write_bytes(damaged)
        assert str(folder) in refusal(folder)


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2", "llama-chatml"])
def test_missing_weights_are_never_made_up(tmp_path: Path, family: str) -> None:
    folder = make(family, tmp_path / family)
    tensors = load_file(folder / "model.safetensors")
    lost = sorted(name for name in tensors if tensors[name].dim() == 2)[-1]
    save_file({k: v.clone() for k, v in tensors.items() if k != lost}, folder / "model.safetensors", {"format": "pt"})
    assert str(folder) in refusal(folder)


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2", "llama-chatml"])
def test_a_checkpoint_without_weights_is_refused(tmp_path: Path, family: str) -> None:
    folder = make(family, tmp_path / family)
    (folder / "model.safetensors").unlink()
    assert "pytorch_model.bin" in refusal(folder)


def test_a_damaged_tokenizer_is_refused(bart: Path) -> None:
    (bart / "tokenizer.json").write_text('{"model": 1}')
    assert "tokenizer" in refusal(bart)
    (bart / "tokenizer.json").unlink()
    assert "tokenizer" in refusal(bart)


def test_a_family_nobody_knows_is_refused(bart: Path) -> None:
    config = json.loads((bart / "config.json").read_text())
    (bart / "config.json").write_text(json.dumps(config | {"model_type": "surprise"}))
    assert str(bart) in refusal(bart)


def to_pickle(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")


@pytest.mark.parametrize("family", ["bart", "t5", "gpt2", "llama-chatml"])
def test_older_checkpoints_in_pickles_are_read(tmp_path: Path, family: str) -> None:
    folder = make(family, tmp_path / family)
    before = first_log_probs(load(str(folder), dtype="float32"))
    to_pickle(folder)
    torch.testing.assert_close(first_log_probs(load(str(folder), dtype="float32")), before)


def first_log_probs(model: ChatModel) -> torch.Tensor:
    network = model.seq2seq
    return network.step(torch.tensor([model.start_id]), network.encode(*batch([[5, 6, 7]])))[0]


class Trap:
    """Runs a command when it is unpickled by an unwary program."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_code_in_a_pickle_is_not_run(tmp_path: Path, family: str) -> None:
    folder, sprung = make(family, tmp_path / family), tmp_path / "sprung"
    (folder / "model.safetensors").unlink()
    torch.save({"model.shared.weight": Trap(sprung)}, folder / "pytorch_model.bin")
    assert str(folder) in refusal(folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    assert str(folder) in refusal(folder)
    assert not sprung.exists()


def test_code_beside_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    folder, sprung = make("t5", tmp_path / "t5"), tmp_path / "sprung"
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModelForSeq2SeqLM": "own.Net"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"import pathlib; pathlib.Path({str(sprung)!r}).touch()")
    assert str(folder) in refusal(folder)
    assert not sprung.exists()


def test_the_fingerprint_follows_weights_and_dtype(bart: Path) -> None:
    first = load(str(bart), dtype="float32").fingerprint
    assert load(str(bart), dtype="float32").fingerprint == first
    assert load(str(bart), dtype="bfloat16").fingerprint != first
    tensors = load_file(bart / "model.safetensors")
    tensors["model.shared.weight"][3, 3] += 1
    save_file(tensors, bart / "model.safetensors", {"format": "pt"})
    assert load(str(bart), dtype="float32").fingerprint != first


def test_the_catalogue_names_a_default_that_it_holds() -> None:
    assert default_name() in CATALOGUE
    assert TRAINED_NAME in CATALOGUE
    assert all(entry.licence and entry.megabytes for entry in CATALOGUE.values())


def test_the_catalogue_tells_what_is_on_disk(tmp_path: Path) -> None:
    base = next(entry for entry in CATALOGUE.values() if entry.source is Source.BASE)
    assert not is_on_disk(base, tmp_path)
    (tmp_path / "models" / base.name).mkdir(parents=True)
    (tmp_path / "models" / base.name / "config.json").write_text("{}")
    assert is_on_disk(base, tmp_path)


# --- our own weights: adapters over a base ----------------------------------------------------------------------------


@pytest.fixture
def adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of trained adapters as they are shipped, over a tiny base model."""
    base = make("llama-chatml", tmp_path / "base")
    monkeypatch.setattr(
        "dialogue.models.loading.base_checkpoint", lambda cache, on_progress: BaseCheckpoint(base, "abc")
    )
    config = AlignedConfig.from_llama(json.loads((base / "config.json").read_text()), "bidirectional")
    state = aligned_state(config, load_file(base / "model.safetensors"))
    folder = tmp_path / "own"
    folder.mkdir()
    torch.manual_seed(2)
    halves: list[dict[str, torch.Tensor]] = [{}, {}]
    for i, name in enumerate(sorted(name for name in state if "_proj" in name)):
        stem, (outputs, inputs) = name.removesuffix(".weight"), state[name].shape
        halves[i % 2][f"{stem}.down"] = torch.randn(2, inputs) * 0.3
        halves[i % 2][f"{stem}.up"] = torch.randn(outputs, 2) * 0.3
    halves[0]["decoder.norm.weight"] = torch.rand(config.width)
    for i, half in enumerate(halves):
        save_file(half, folder / f"adapters-{i}.safetensors")
    settings = {"base_sha256": "abc", "format": "turns", "encoder": "bidirectional", "languages": ["en"],
                "decoding": {"pmi_lambda": 0.5}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    return folder


def test_adapters_from_several_files_are_merged_into_the_base(adapters: Path) -> None:
    from dialogue.models.adapters import merged_state
    from dialogue.models.aligned import AlignedModel

    model = load(str(adapters), dtype="float32")
    base = adapters.parent / "base"
    config = AlignedConfig.from_llama(json.loads((base / "config.json").read_text()), "bidirectional")
    trained = {k: v for path in adapters.glob("*.safetensors") for k, v in load_file(path).items()}
    whole = AlignedModel(config)
    whole.load_state_dict(merged_state(aligned_state(config, load_file(base / "model.safetensors")), trained))
    ids, mask = batch([[5, 6, 7]])
    with torch.inference_mode():
        wanted = whole(ids, mask, torch.tensor([[1]]))[0, -1].log_softmax(-1)
    torch.testing.assert_close(first_log_probs(model)[0], wanted, atol=1e-4, rtol=0)
    assert isinstance(model.context_format, TurnsFormat)
    assert (model.start_id, model.eos_id, model.defaults.pmi_lambda) == (1, 2, 0.5)


@pytest.mark.parametrize(
    "change", [{"base_sha256": "other"}, {"format": "unheard of"}, {"encoder": "sideways"}, {"decoding": {"beams": 3}}]
)
def test_adapters_that_do_not_fit_are_refused(adapters: Path, change: dict[str, Any]) -> None:
    settings = json.loads((adapters / "config.json").read_text())
    (adapters / "config.json").write_text(json.dumps(settings | change))
    assert "own" in refusal(adapters)


def test_adapters_of_another_shape_are_refused(adapters: Path) -> None:
    save_file({"decoder.layers.0.self_attn.q_proj.down": torch.ones(2, 5)}, adapters / "adapters-9.safetensors")
    assert "q_proj" in refusal(adapters)
