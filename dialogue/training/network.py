"""The networks that are trained: adapters over the shared base, the whole network, or one from scratch."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedConfig, AlignedModel, EncoderKind, Rotary, aligned_from_llama, load_llama
from dialogue.models.linear import fast_dtype
from dialogue.training.adapters import AdapterConfig, attach, load_adapter_state
from dialogue.training.examples import IGNORED, Batch
from dialogue.training.losses import LossSettings, repeats, reply_loss
from dialogue.training.recipes import Recipe


def computing_dtype() -> torch.dtype:
    """What training multiplies in: bfloat16 on an accelerator and on processors that have it, float32 on all others,
    which would only imitate it (four times slower on one with AVX-512 alone).
    """
    return torch.bfloat16 if torch.cuda.is_available() else fast_dtype()


def with_adapters(folder: Path, encoder: EncoderKind, adapters: AdapterConfig) -> AlignedModel:
    """The base in the computing type, its memory shared by both stacks and frozen, with fresh adapters to train."""
    config, state = load_llama(folder, encoder, computing_dtype())
    with torch.device("meta"):
        model = AlignedModel(config)
    model.rotary = Rotary(config.head_dim, config.rope_theta)
    model.load_state_dict(state, assign=True)
    attach(model, adapters)
    return model


def whole(folder: Path, encoder: EncoderKind) -> AlignedModel:
    """The base in float32, each stack with weights of its own, all of them trained."""
    return aligned_from_llama(folder, encoder)


def from_scratch(config: AlignedConfig, seed: int) -> AlignedModel:
    """A new network: matrices drawn with standard deviation 0.02, those that add to the stream scaled down by depth
    (Radford et al. 2019).
    """
    torch.manual_seed(seed)
    model = AlignedModel(config)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1:
            adds = name.endswith(("o_proj.weight", "down_proj.weight"))
            nn.init.normal_(parameter, std=0.02 / ((2 * config.layers) ** 0.5 if adds else 1.0))
    return model


def tie_stacks(model: AlignedModel) -> None:
    """Make the encoder's layers the decoder's own; with a causal encoder that is a decoder-only language model."""
    for index in range(len(model.encoder.layers)):
        model.encoder.layers[index] = model.decoder.layers[index]


def build(recipe: Recipe, base: Path, vocabulary: int) -> AlignedModel:
    """The recipe's network in training mode; ``vocabulary`` is the tokenizer's size, for one from scratch."""
    torch.manual_seed(recipe.seed)
    if recipe.method == "adapters":
        model = with_adapters(base, recipe.encoder, recipe.adapters)
    elif recipe.method == "full":
        model = whole(base, recipe.encoder)
    else:
        model = from_scratch(scratch_config(recipe, vocabulary), recipe.seed)
    if recipe.tied:
        tie_stacks(model)
    model.recompute = recipe.recompute
    return model.train()


def compile_blocks(model: AlignedModel, backend: Any = "inductor") -> None:
    """Compile the blocks one by one; layers and lengths share four compiled forms (states that need a gradient or not,
    with a memory or without), so that the first step waits a minute and no later one.
    """
    for block in (*model.encoder.layers, *model.decoder.layers):
        block.compile(dynamic=True, backend=backend)


def start_from(folder: Path, model: AlignedModel, base_sha256: str) -> None:
    """Put the adapters that a run exported into ``folder`` into a network with adapters of the same rank.

    Raises UserError when the folder holds none, or those of another rank or base.
    """
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        state = {
            name: t for path in sorted(folder.glob("adapters-*.safetensors")) for name, t in load_file(path).items()
        }
        if config.get("base_sha256") != base_sha256:
            raise UserError(f"The adapters in {folder} belong to another base model.")
        load_adapter_state(model, state)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{folder} holds no adapters that fit this run (same rank, same matrices): {error}.") from error


def scratch_config(recipe: Recipe, vocabulary: int) -> AlignedConfig:
    """The sizes of a network from scratch."""
    shape = recipe.shape
    if shape.width % shape.heads or shape.width // shape.heads % 2:
        raise UserError(f"The width {shape.width} must be an even multiple of the {shape.heads} heads.")
    return AlignedConfig(
        vocab_size=vocabulary,
        width=shape.width,
        hidden=shape.hidden,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.heads,
        head_dim=shape.width // shape.heads,
        rope_theta=10_000.0,
        encoder=recipe.encoder,
    )


def trained_parameters(model: AlignedModel) -> dict[str, nn.Parameter]:
    """What the optimizer changes, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


class ReplyLoss:
    """The loss of a network on a batch. Whole networks are kept in float32 and run under autocast where the computing
    type is another; adapters over a frozen base of that type need none.
    """

    def __init__(self, model: AlignedModel, settings: LossSettings | None = None) -> None:
        self.model, self.settings = model, settings or LossSettings()
        self.autocast = model.embed.weight.requires_grad and computing_dtype() is torch.bfloat16

    def context(self) -> contextlib.AbstractContextManager[Any]:
        """What the network runs under."""
        device = self.model.embed.weight.device.type
        return torch.autocast(device, torch.bfloat16) if self.autocast else contextlib.nullcontext()

    def __call__(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(weighted nats, sum of the weights)."""
        batch = batch.to(self.model.embed.weight.device)
        with self.context():
            states = self.model.states(batch.input_ids, batch.attention_mask, batch.decoder_ids)
            keep = batch.labels != IGNORED
            weights = batch.weights[keep]
            unwanted = None
            if self.settings.unlikelihood:
                unwanted = repeats(batch.decoder_ids, batch.labels, self.settings.repeat_ngram)[keep]
            head = self.model.embed.weight
            nats = reply_loss(states[keep], head, batch.labels[keep], weights, unwanted, self.settings)
        return nats, weights.sum()
