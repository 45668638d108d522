"""The pair encoder: a small transformer that reads a text together with what it answers. English; optional.

A BERT encoder (Devlin et al. 2019) of MiniLM's size (Wang et al. 2020), fine-tuned by safety/training/encoder.py, its
weights in int8. It is asked only where the linear model is unsure, and about replies of the bot; the two logits are
then weighed against each other. Takes the linear detector's place, which it asks first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dialogue.errors import UserError
from dialogue.models.quantise import Int8Linear
from safety.detectors.linear import LinearDetector
from safety.findings import Detector, Finding
from safety.linear_model import shipped_model
from safety.normalise import fold
from safety.passage import Passage
from safety.policy import Policy

SHIPPED = Path(__file__).parent.parent / "weights" / "encoder.npz"
REPLACES = "linear"
"""The detector whose place this one takes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a network: ``outputs`` is the number of heads."""

    vocabulary: int = 30522
    positions: int = 512
    width: int = 384
    inner: int = 1536
    attention_heads: int = 12
    depth: int = 6
    outputs: int = 1


class Block(nn.Module):
    """Self-attention and a feed-forward layer, each with its residual and norm behind it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.attention_heads
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.mix = nn.Linear(shape.width, shape.width)
        self.norm_1 = nn.LayerNorm(shape.width, eps=1e-12)
        self.up = nn.Linear(shape.width, shape.inner)
        self.down = nn.Linear(shape.inner, shape.width)
        self.norm_2 = nn.LayerNorm(shape.width, eps=1e-12)
        self.drop = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """(B, S, width) and (B, 1, 1, S), true where there is a token, to (B, S, width)."""
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        # Written out: the fused attention of torch is three times slower on lines as short as these.
        scores = parts[0] @ parts[1].transpose(-1, -2) / math.sqrt(width // self.heads)
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e4)
        seen = scores.softmax(-1).to(parts.dtype) @ parts[2]
        x = self.norm_1(x + self.mix(seen.transpose(1, 2).reshape(batch, length, width)))
        y: Tensor = self.norm_2(x + self.drop(self.down(functional.gelu(self.up(x)))))
        return y


class PairNetwork(nn.Module):
    """Token ids in, one logit a head out; the tokens' states are averaged."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.words = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Embedding(shape.positions, shape.width)
        self.sides = nn.Embedding(2, shape.width)
        self.norm = nn.LayerNorm(shape.width, eps=1e-12)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(shape.width, shape.outputs)

    def forward(self, ids: Tensor, sides: Tensor, mask: Tensor | None = None) -> Tensor:
        """Ids and sides (0 the text, 1 what it answers), (B, S) each; mask (B, S), true where there is a token."""
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.drop(self.norm(self.words(ids) + self.places(places) + self.sides(sides)))
        wide = None if mask is None else mask[:, None, None, :]
        for block in self.blocks:
            x = block(x, wide)
        if mask is None:
            pooled = x.mean(1)
        else:
            kept = mask[:, :, None].to(x.dtype)
            pooled = (x * kept).sum(1) / kept.sum(1)
        logits: Tensor = self.out(self.drop(pooled))
        return logits


TEXT_TOKENS, BEFORE_TOKENS = 72, 32
_MASKS = re.compile(r"\[(?:email|url|user|ip|phone)\]|https?://\S{1,500}|(?<!\w)@\w{1,40}")
_CLS, _SEP = 101, 102


def plain(text: str) -> str:
    """A text as the network reads it: folded, without masks, links and handles, at most 2,000 signs."""
    return " ".join(_MASKS.sub(" ", fold(text[:2000]).text).split())


def pair_ids(text: Sequence[int], before: Sequence[int]) -> tuple[list[int], list[int]]:
    """Ids and sides of a text and what it answers, (S,) each: the ends of a long text, the end of what it answers."""
    if len(text) > TEXT_TOKENS:
        text = [*text[: TEXT_TOKENS * 2 // 3], *text[-TEXT_TOKENS // 3 :]]
    ids = [_CLS, *text, _SEP]
    if not before:
        return ids, [0] * len(ids)
    tail = [*before[-BEFORE_TOKENS:], _SEP]
    return ids + tail, [0] * len(ids) + [1] * len(tail)


@dataclass(frozen=True)
class Blend:
    """How the two overall logits become one chance: ``bias + linear * l + encoder * e``, and from which chance the
    levels low, medium and high act. Between ``sure`` (low, high) the linear model counts as unsure.
    """

    bias: float
    linear: float
    encoder: float
    thresholds: tuple[float, float, float]
    sure: tuple[float, float] = (0.02, 0.98)

    def chance(self, linear: float, encoder: float) -> float:
        """The blended chance of two logits."""
        return 1 / (1 + math.exp(-min(30.0, max(-30.0, self.bias + self.linear * linear + self.encoder * encoder))))

    def strength(self, chance: float) -> float:
        """A chance on the scale of findings."""
        low, medium, high = self.thresholds
        return float(np.interp(chance, (0, high, medium, low, 1), (0.0, 0.3, 0.5, 0.8, 1.0)))


class PairModel:
    """The network in int8, its tokenizer, and the blends for texts alone and for replies."""

    def __init__(self, network: PairNetwork, tokenizer: Any, alone: Blend, reply: Blend) -> None:
        self.network, self.tokenizer, self.alone, self.reply = _narrowed(network), tokenizer, alone, reply

    def logit(self, text: str, before: str) -> float:
        """The overall logit of a text given what it answers; an empty text for nothing. Of a long one the ends."""
        ids = [self.tokenizer.encode(plain(part), add_special_tokens=False).ids for part in (text, before)]
        tokens, sides = pair_ids(*ids)
        with torch.inference_mode():
            return float(self.network(torch.tensor([tokens]), torch.tensor([sides]))[0, 0])


def _narrowed(network: PairNetwork) -> PairNetwork:
    """The network with its large products in int8, for reading only."""
    network.eval()
    for block in network.blocks:
        for name in ("qkv", "mix", "up", "down"):
            wide = getattr(block, name)
            if isinstance(wide, nn.Linear):
                delattr(block, name)
                setattr(block, name, Int8Linear(wide.weight, wide.bias, None))
    return network


def save_pair(state: Mapping[str, Tensor], tokenizer: Any, alone: Blend, reply: Blend, path: Path) -> None:
    """Write weights as int8 with one scale per row, in one rename, and the tokenizer beside them."""
    arrays: dict[str, Any] = {}
    for name, value in state.items():
        if value.ndim == 2 and min(value.shape) > 2:
            scale = value.abs().amax(1).clamp_min(1e-12) / 127
            arrays[f"{name}|codes"] = torch.round(value / scale[:, None]).to(torch.int8).numpy()
            arrays[f"{name}|scale"] = scale.numpy()
        else:
            arrays[name] = value.numpy()
    for side, blend in (("alone", alone), ("reply", reply)):
        numbers = (blend.bias, blend.linear, blend.encoder, *blend.thresholds, *blend.sure)
        arrays[f"blend|{side}"] = np.array(numbers)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(path)
    tokenizer.save(str(_tokenizer_path(path)))


def _tokenizer_path(path: Path) -> Path:
    return path.with_name(path.stem + ".tokenizer.json")


def load_pair(path: Path = SHIPPED) -> PairModel:
    """Read a pair encoder. Raises UserError when it is missing or not one."""
    from tokenizers import Tokenizer

    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
        tokenizer = Tokenizer.from_file(str(_tokenizer_path(path)))
        blends = [_blend(arrays.pop(f"blend|{side}")) for side in ("alone", "reply")]
        network = _network(arrays)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise UserError(
            f"The pair encoder {path} cannot be used ({error}); train one with: chinwag safety train-encoder."
        ) from error
    return PairModel(network, tokenizer, *blends)


def _blend(numbers: Any) -> Blend:
    bias, linear, encoder, low, medium, high, sure_low, sure_high = (float(n) for n in numbers)
    return Blend(bias, linear, encoder, (low, medium, high), (sure_low, sure_high))


def _network(arrays: dict[str, Any]) -> PairNetwork:
    """The network of stored arrays, its sizes read off them."""
    state: dict[str, Tensor] = {}
    for name, value in arrays.items():
        if name.endswith("|codes"):
            plain_name = name.removesuffix("|codes")
            scale = torch.from_numpy(arrays[f"{plain_name}|scale"])
            state[plain_name] = torch.from_numpy(value).float() * scale[:, None]
        elif "|" not in name:
            state[name] = torch.from_numpy(value)
    vocabulary, width = state["words.weight"].shape
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
    inner, outputs = len(state["blocks.0.up.bias"]), len(state["out.bias"])
    network = PairNetwork(Shape(vocabulary, len(state["places.weight"]), width, inner, width // 32, depth, outputs))
    network.load_state_dict(state)
    return network


@cache
def shipped_pair() -> PairModel:
    """The pair encoder that comes with the program. Raises UserError when this version has none."""
    return load_pair()


@dataclass(frozen=True)
class PairEncoderDetector:
    """The linear detector's findings, the overall one weighed against the encoder's where that is asked."""

    linear: LinearDetector
    model: PairModel
    name: str = "pair_encoder"

    def find(self, passage: Passage) -> list[Finding]:
        """As the linear detector, with another overall finding where the encoder was asked."""
        found = self.linear.find(passage)
        if passage.language != "en":
            return found
        reply = passage.by_bot and bool(passage.answers)
        blend = self.model.reply if reply else self.model.alone
        source = "linear in context" if reply else self.linear.name
        at = next(i for i, f in enumerate(found) if f.category == "unsafe" and f.detector == source)
        score = min(max(found[at].score, 1e-6), 1 - 1e-6)
        if not passage.by_bot and not blend.sure[0] <= score <= blend.sure[1]:
            return found
        encoder = self.model.logit(passage.base.text, passage.answers)
        chance = blend.chance(math.log(score / (1 - score)), encoder)
        strength = min(blend.strength(chance), self._most(found, at))
        reason = f"the encoder on text and context: {encoder:+.2f}" if strength >= 0.3 else found[at].reason
        found[at] = replace(found[at], score=chance, strength=strength, detector=self.name, reason=reason)
        return found

    @staticmethod
    def _most(found: Sequence[Finding], at: int) -> float:
        """The overall head does not act on a suspicion of its own: some head for a kind of harm must see a little."""
        supported = any(f.strength >= 0.25 for i, f in enumerate(found) if i != at)
        return 1.0 if supported or found[at].strength >= 0.3 else 0.49


def make(policy: Policy) -> Detector:
    """The detector with the shipped weights. Raises UserError when there are none."""
    return PairEncoderDetector(LinearDetector(shipped_model()), shipped_pair())
