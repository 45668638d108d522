"""The linear multi-label model: weights on hashed features, calibrated per language. NumPy only; no decision here.

Two layers. The text layer scores a text by itself, for every head (unsafe, hate, …). The context layer scores a reply
given what it answers, from the words of both and the text layer's scores of both. A logit is
``bias + scale * sum(value * weight)``, where a text's values are 1/sqrt(n) for each of the n features of a
namespace; a probability is ``sigmoid(a * logit + b)`` with a and b per language (Platt 1999).

What one source of labels calls unsafe another does not. So the text layer has, beside the heads that all sources
teach, an *expert* for each large source, taught by it alone, and an *origin* head that guesses how likely a text is to
come from there. The overall logit is the mean of the shared one and of the logit of
``sum(softmax(origins) * sigmoid(experts))``: a mixture of experts (Jacobs et al. 1991).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dialogue.errors import UserError
from safety import features
from safety.lexicons import Hit, hangul
from safety.normalise import View

SHIPPED = Path(__file__).parent / "weights" / "linear.npz"
LANGUAGES = ("en", "ko")
RULE_VALUE = 0.8
LEVELS = ("low", "medium", "high")
_STRENGTHS = (0.0, 0.3, 0.5, 0.8, 1.0)

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Read:
    """A text as the model sees it: its words, the buckets of its words and characters, and the rules it meets."""

    text: str
    tokens: tuple[str, ...]
    words: features.Indices
    chars: features.Indices
    letters: features.Indices
    rules: tuple[str, ...]

    @property
    def language(self) -> str:
        """ "ko" when the text shows Hangul, else "en"."""
        return "ko" if hangul(self.text) else "en"

    @property
    def parts(self) -> tuple[features.Indices, ...]:
        """The buckets by namespace."""
        return (self.words, self.chars, self.letters)

    @property
    def at_risk(self) -> bool:
        """Whether a crisis rule is among those it meets."""
        return any(rule.startswith("selfharm") for rule in self.rules)


def read(base: View, hits: Iterable[Hit]) -> Read:
    """Read the first :data:`features.MAX_CHARS` signs of a text."""
    text = features.prepare(base.text[: features.MAX_CHARS])
    tokens = tuple(features.words(text))
    rules = features.rule_features(hits)
    grams = (features.word_features(tokens), features.char_features(text), features.letter_features(text))
    return Read(text, tokens, *grams, tuple(rules))


@dataclass(frozen=True)
class Layer:
    """Weights of one layer: ``table`` (buckets, columns) int8, ``scale`` and ``bias`` (columns,), ``dense`` (inputs,
    columns).

    The first columns are the ``heads``; the text layer has more behind them. ``platt`` is (languages, heads, 2);
    ``thresholds`` (languages, heads, 3): the probabilities from which levels low, medium and high act.
    """

    heads: tuple[str, ...]
    table: NDArray[np.int8]
    scale: Floats
    bias: Floats
    dense: Floats
    platt: Floats
    thresholds: Floats

    def logits(self, parts: Sequence[features.Indices], dense: Floats) -> Floats:
        """Logits of all columns, (columns,), for one text: the buckets of each namespace, and the dense inputs
        (inputs,)."""
        total = dense @ self.dense + self.bias
        for part in parts:
            if len(part):
                weights = self.table.take(part, axis=0).astype(np.float32)
                value = np.full(len(part), 1 / np.sqrt(len(part)), np.float32)
                total = total + (value @ weights) * self.scale
        return np.asarray(total, np.float32)

    def probabilities(self, logits: Floats, lang: str) -> Floats:
        """Calibrated probabilities, (heads,)."""
        a, b = self.platt[LANGUAGES.index(lang)].T
        return np.asarray(1 / (1 + np.exp(-np.clip(a * logits + b, -30, 30))), np.float32)

    def strengths(self, probabilities: Floats, lang: str) -> Floats:
        """Probabilities on the scale of findings: 0.3, 0.5 and 0.8 at the thresholds for high, medium and low."""
        rows = self.thresholds[LANGUAGES.index(lang)]
        pairs = zip(probabilities, rows, strict=True)
        return np.array([np.interp(p, (0, row[2], row[1], row[0], 1), _STRENGTHS) for p, row in pairs], np.float32)


def overall(logits: Floats, shared: int, sources: Sequence[int]) -> Floats:
    """Overall logits (...,) from all logits of the text layer (..., heads + 2 * sources of all languages).

    ``shared`` is the number of heads that all sources teach, head 0 the shared overall one; ``sources`` are the
    numbers of the sources of the language at hand.
    """
    count = (logits.shape[-1] - shared) // 2
    chosen = np.asarray(sources, int)
    experts = logits[..., shared + chosen]
    origins = logits[..., shared + count + chosen]
    likely = np.exp(origins - origins.max(-1, keepdims=True))
    chance = (likely / (1 + np.exp(-np.clip(experts, -15, 15)))).sum(-1) / likely.sum(-1)
    mixed = np.log(chance / (1 - chance))
    return np.asarray((logits[..., 0] + mixed) / 2, np.float32)


@dataclass(frozen=True)
class LinearModel:
    """Both layers and what is said about them in the file.

    ``sources`` holds "ko beep_ko" and the like: the language and the name of each source that has an expert. The
    text layer's table has a column for each head, then one for each expert, then one for each origin.
    """

    text: Layer
    context: Layer
    rules: tuple[str, ...]
    sources: tuple[str, ...]

    def rule_inputs(self, rules: Sequence[str]) -> Floats:
        """The dense inputs of the text layer, (rules,)."""
        inputs = np.zeros(len(self.rules), np.float32)
        inputs[[self.rules.index(rule) for rule in rules if rule in self.rules]] = RULE_VALUE
        return inputs

    def text_logits(self, seen: Read) -> Floats:
        """Logits of a text by itself, (heads,): the overall one first, mixed from the experts."""
        return self.mixed(self.text.logits(seen.parts, self.rule_inputs(seen.rules)), seen.language)

    def mixed(self, logits: Floats, language: str) -> Floats:
        """The logits of the named heads (..., heads) from all of the text layer's, the first one mixed."""
        heads = len(self.text.heads)
        mine = [at for at, source in enumerate(self.sources) if source.split()[0] == language]
        out = logits[..., :heads].copy()
        if mine:
            out[..., 0] = overall(logits, heads, mine)
        return out

    def context_logits(self, reply: Read, before: Read) -> Floats:
        """Logits of a reply given what it answers, (context heads,)."""
        parts = features.context_features(reply.tokens, reply.text, before.tokens, reply.rules, before.rules)
        return self.context.logits(parts, stacked(self.text_logits(reply), self.text_logits(before)))


def stacked(reply: Floats, before: Floats) -> Floats:
    """Dense inputs of the context layer: both texts' logits, clipped, and their products, (3 * heads,).

    Scaled to a tenth: two dozen inputs as large as the words' would set the pace of learning for all (three points of
    AUC less on DiaSafety).
    """
    a, b = np.clip(reply, -6, 6) / 6, np.clip(before, -6, 6) / 6
    return (np.concatenate([a, b, a * b]) / 10).astype(np.float32)


def _layer(data: Any, prefix: str) -> Layer:
    heads = tuple(str(head) for head in data[f"{prefix}_heads"])
    names = ("table", "scale", "bias", "dense", "platt", "thresholds")
    return Layer(heads, *(data[f"{prefix}_{name}"] for name in names))


def load_model(path: Path = SHIPPED) -> LinearModel:
    """Read a model file. Raises UserError when it is missing or not one."""
    try:
        with np.load(path, allow_pickle=False) as data:
            names = (tuple(str(name) for name in data[key]) for key in ("rules", "sources"))
            return LinearModel(_layer(data, "text"), _layer(data, "context"), *names)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"The safety model {path} cannot be used: {error}.") from error


def save_model(model: LinearModel, path: Path) -> None:
    """Write a model file, compressed, in one rename: a reader sees the old file or the whole new one."""
    arrays: dict[str, Any] = {"rules": np.array(model.rules), "sources": np.array(model.sources)}
    for prefix, layer in (("text", model.text), ("context", model.context)):
        arrays[f"{prefix}_heads"] = np.array(layer.heads)
        for name in ("table", "scale", "bias", "dense", "platt", "thresholds"):
            arrays[f"{prefix}_{name}"] = getattr(layer, name)
    part = path.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(path)


@cache
def shipped_model() -> LinearModel:
    """The model that comes with the program."""
    return load_model()
