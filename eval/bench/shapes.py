"""The networks that engines are measured on: published shapes with random weights, written once as checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialogue.errors import UnknownName

CONTEXT = 128
"""Tokens in every context."""

REPLY = 40
"""Tokens in every reply: the end is not allowed before."""

NGRAM = 3


@dataclass(frozen=True, slots=True)
class Shape:
    """A network and its family's special tokens; ids from ``first_word`` on are words."""

    name: str
    make: Callable[[], Any]
    vocab_size: int
    start_id: int = 1
    eos_id: int = 2
    pad_id: int = 0
    first_word: int = 4

    def contexts(self, batch: int, seed: int) -> list[list[int]]:
        """``batch`` contexts of random words."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        ids: list[list[int]] = torch.randint(
            self.first_word, self.vocab_size, (batch, CONTEXT), generator=generator
        ).tolist()
        return ids

    def write(self, folder: Path) -> None:
        """A checkpoint with random weights in a folder, as transformers writes it."""
        import torch
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()  # type: ignore[no-untyped-call]
        torch.manual_seed(0)
        self.make().save_pretrained(folder)


def _blenderbot_90m() -> Any:
    """facebook/blenderbot_small-90M: 8 + 8 layers of width 512, 54,944 tokens; 88 million parameters."""
    from transformers import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration

    config = BlenderbotSmallConfig(
        vocab_size=54944, d_model=512, encoder_layers=8, decoder_layers=8, encoder_attention_heads=16,
        decoder_attention_heads=16, encoder_ffn_dim=2048, decoder_ffn_dim=2048, max_position_embeddings=512,
        scale_embedding=True, activation_function="gelu",
    )  # fmt: skip
    return BlenderbotSmallForConditionalGeneration(config)


def _blenderbot_400m() -> Any:
    """facebook/blenderbot-400M-distill: 2 + 12 layers of width 1280, 8,008 tokens; 365 million parameters."""
    from transformers import BlenderbotConfig, BlenderbotForConditionalGeneration

    config = BlenderbotConfig(
        vocab_size=8008, d_model=1280, encoder_layers=2, decoder_layers=12, encoder_attention_heads=32,
        decoder_attention_heads=32, encoder_ffn_dim=5120, decoder_ffn_dim=5120, max_position_embeddings=CONTEXT,
        scale_embedding=True, activation_function="gelu",
    )  # fmt: skip
    return BlenderbotForConditionalGeneration(config)


def _tiny() -> Any:
    """A toy for tests of the benchmark itself."""
    from transformers import BlenderbotSmallConfig, BlenderbotSmallForConditionalGeneration

    config = BlenderbotSmallConfig(
        vocab_size=300, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=256,
        scale_embedding=True,
    )  # fmt: skip
    return BlenderbotSmallForConditionalGeneration(config)


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("blenderbot-90m", _blenderbot_90m, 54944),
        Shape("blenderbot-400m", _blenderbot_400m, 8008),
        Shape("tiny", _tiny, 300),
    )
}


def shape(name: str) -> Shape:
    """The shape of that name; raises UnknownName with the nearest one."""
    if name not in SHAPES:
        raise UnknownName("shape", name, SHAPES)
    return SHAPES[name]
