"""Named recipes: everything that defines a training run save the corpus folder. Plain values; nothing is run here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from dialogue.errors import UnknownName
from dialogue.models.aligned import EncoderKind
from dialogue.training.adapters import AdapterConfig
from dialogue.training.examples import Windows
from dialogue.training.losses import LossSettings, PreferenceSettings
from dialogue.training.train import TrainSettings

Method = Literal["adapters", "full", "scratch"]
CHAT = {"chitchat": 1.0, "self_dialogue": 0.5, "topical_chat": 1.5, "synthetic_persona_chat": 5.0, "chatterbot": 6.0}
OUR_OWN = {"identity": 5.0, "own_talks": 16.0}
MEASURED = ("chitchat", "self_dialogue", "topical_chat", "synthetic_persona_chat")


@dataclass(frozen=True, slots=True)
class Shape:
    """A network trained from scratch; the vocabulary is that of a byte-level BPE tokenizer trained on the corpus."""

    width: int = 256
    layers: int = 6
    heads: int = 4
    vocabulary: int = 8192

    @property
    def hidden(self) -> int:
        """Inner width of the feed-forward part: 8/3 of the width, in steps of 16 (Shazeer 2020)."""
        return -(-self.width * 8 // 3 // 16) * 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is learnt from (``mix`` by name, or ``weights`` by source), by which network, and how.

    ``own`` are the weights of the sources that come with the program (data.py, OWN). ``batch_tokens`` counts
    padded tokens of one batch; ``tied`` makes encoder and decoder one stack, which with a causal encoder is a
    decoder-only model.
    """

    name: str
    note: str
    train: TrainSettings
    mix: str | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)
    measured: tuple[str, ...] = MEASURED
    method: Method = "adapters"
    encoder: EncoderKind = "bidirectional"
    tied: bool = False
    adapters: AdapterConfig = field(default_factory=AdapterConfig)
    shape: Shape = field(default_factory=Shape)
    windows: Windows = field(default_factory=Windows)
    loss: LossSettings = field(default_factory=LossSettings)
    preferences: PreferenceSettings = field(default_factory=PreferenceSettings)
    batch_tokens: int = 2048
    seed: int = 0
    compile: bool = False
    recompute: bool = False

    def with_(self, **changes: Any) -> Recipe:
        """A copy with the given fields changed; fields of ``train``, ``loss`` and ``adapters`` are found by name."""
        mine = {name: value for name, value in changes.items() if value is not None}
        parts: dict[str, Any] = {}
        for part in ("train", "loss", "adapters", "shape"):
            value = getattr(self, part)
            inner = {f.name: mine.pop(f.name) for f in fields(value) if f.name in mine}
            parts[part] = replace(value, **inner)
        return replace(self, **parts, **mine)

    def described(self) -> dict[str, Any]:
        """All of it as plain values, for the record that goes with the weights."""
        return asdict(self)


_RECIPES = (
    Recipe(
        name="cpu",
        note="the shipped model on two cores: adapters of rank 32, talkative two-person sources, 90 minutes",
        train=TrainSettings(minutes=90, learning_rate=1.2e-3, validate_s=600),
        weights=CHAT,
        own=OUR_OWN,
    ),
    Recipe(
        name="h100",
        note="one H100-class GPU: the open mix, adapters of rank 64, about twenty minutes",
        train=TrainSettings(minutes=20, learning_rate=8e-4, checkpoint_s=90, validate_s=300),
        mix="open",
        own={"identity": 2.0, "own_talks": 2.0, "own_replies": 3.0},
        adapters=AdapterConfig(rank=64, alpha=64.0),
        windows=Windows(context=(96, 128, 192, 256), reply=96),
        batch_tokens=49_152,
        compile=True,
    ),
    Recipe(
        name="full",
        note="every weight of both stacks from the base model; its export is not for a repository",
        train=TrainSettings(minutes=90, learning_rate=1.5e-4),
        weights=CHAT,
        method="full",
    ),
    Recipe(
        name="decoder-only",
        note="the plain language model on the same batches with adapters of the same rank, to compare with",
        train=TrainSettings(minutes=90, learning_rate=1.2e-3, validate_s=600),
        weights=CHAT,
        own=OUR_OWN,
        encoder="causal",
        tied=True,
    ),
    Recipe(
        name="scratch",
        note="a network and a tokenizer of your own, from nothing",
        train=TrainSettings(minutes=60, learning_rate=2e-3),
        weights=CHAT,
        method="scratch",
        batch_tokens=4096,
    ),
)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _RECIPES}


def recipe_named(name: str) -> Recipe:
    """The recipe of that name. Raises UnknownName with the nearest one."""
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    return RECIPES[name]
