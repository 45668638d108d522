"""A tiny corpus, a tiny base model in a cache, and a tiny recipe: what the tests of training share."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import zstandard
from transformers import LlamaConfig, LlamaForCausalLM

from dialogue.models.base import FILES, NAME, RECORD
from dialogue.training.adapters import AdapterConfig
from dialogue.training.examples import Windows
from dialogue.training.recipes import Recipe, Shape
from dialogue.training.tokenizer import train_tokenizer
from dialogue.training.train import TrainSettings

SAYINGS = (
    "Hi there, how are you today?",
    "I am fine, thanks. Do you like films?",
    "Yes, I love old films and popcorn!",
    "What is your favourite one?",
    "Casablanca, of course. And yours?",
    "I cannot choose, there are so many good ones.",
)


def talk(number: int, source: str, split: str = "train", persona: list[str] | None = None) -> dict[str, Any]:
    turns = [
        {"speaker": "AB"[i % 2], "text": f"{SAYINGS[(number + i) % len(SAYINGS)]} Number {number}."} for i in range(6)
    ]
    return {
        "source": source,
        "lang": "en",
        "split": split,
        "id": f"{source}-{number}",
        "persona": persona,
        "turns": turns,
    }


def write_talks(path: Path, talks: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(t) + "\n" for t in talks)
    path.write_bytes(zstandard.ZstdCompressor().compress(text.encode()))


def write_judged(path: Path, count: int = 8) -> Path:
    """The answer to every saying is the next one; the one after it is vague, and the one after that makes no sense."""
    rows = [
        {
            "context": [SAYINGS[n % 6]],
            "replies": [{"text": SAYINGS[(n + 1 + worse) % 6], "grade": 2 - worse} for worse in range(3)],
            "persona": None,
        }
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_corpus(folder: Path, talks: int = 60) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_talks(folder / "chat.train.jsonl.zst", [talk(n, "chat") for n in range(talks)])
    write_talks(folder / "chat.valid.jsonl.zst", [talk(n, "chat", "valid") for n in range(1000, 1010)])
    facts = ["I like tea.", "I am a gardener."]
    write_talks(folder / "facts.train.jsonl.zst", [talk(n, "facts", persona=facts) for n in range(2000, 2000 + talks)])
    (folder / "mixes.json").write_text(json.dumps({"both": {"sources": {"chat": 1, "facts": 2}}}))
    classes = {"chat": {"licence_class": "permissive"}, "facts": {"licence_class": "sharealike"}}
    (folder / "sources.json").write_text(json.dumps(classes))
    return folder


def write_base(cache: Path) -> Path:
    """A tiny Llama with a tokenizer of its own, where the base model is looked for."""
    folder = cache / "models" / NAME
    folder.mkdir(parents=True)
    tokenizer = train_tokenizer((f"{text} Number 123." for text in SAYINGS), 320)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        initializer_range=0.1,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    llama = LlamaForCausalLM(config)
    llama.bfloat16()
    llama.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}")
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    (folder / RECORD).write_text(json.dumps({"name": NAME, "source_sha256": "tiny", "bytes": sizes}))
    return folder


TINY = Recipe(
    name="tiny",
    note="a recipe for tests",
    train=TrainSettings(steps=6, learning_rate=1e-2),
    mix="both",
    measured=("chat", "facts"),
    adapters=AdapterConfig(rank=4, alpha=4.0),
    shape=Shape(width=32, layers=2, heads=2, vocabulary=300),
    windows=Windows(context=(48,), reply=40),
    batch_tokens=512,
)


def tiny(**changes: Any) -> Recipe:
    steps = changes.pop("steps", 6)
    return replace(TINY, train=replace(TINY.train, steps=steps)).with_(**changes)


def unpacked(path: Path) -> list[dict[str, Any]]:
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        return [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]
