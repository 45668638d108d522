"""Learning from judged replies: of two replies to one talk, the better one becomes likelier than the worse one.

Direct preference optimisation (Rafailov et al. 2023, equation 7) against the weights that the run began with, beside
the ordinary loss on talks, which keeps the language (Ouyang et al. 2022, section 3.5). Pairs are JSON Lines:
``{"context": [text, …], "chosen": text, "rejected": text, "persona": name, or list of facts, or null}``; the last text
of the context is what was said to the bot.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedModel
from dialogue.models.formats import TurnsFormat
from dialogue.models.vocabulary import TokenizerVocabulary
from dialogue.persona_cards import load_persona
from dialogue.training.examples import END, IGNORED, START, Batch, Example, collate
from dialogue.training.losses import PreferenceSettings
from dialogue.training.network import ReplyLoss
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

KEY = ConversationKey("training", "preferences")
CONTEXT = 256
"""Tokens of a context, the persona among them; the newest turns are kept."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two replies to the same talk."""

    chosen: Example
    rejected: Example


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of a file, and its SHA-256, by which their likelihoods at the start are kept."""

    all: tuple[Pair, ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A batch of talks, and 2P rows of judged replies, better and worse in turn.

    ``reference`` (P,): by how many nats the better one was likelier at the start.
    """

    talks: Batch
    judged: Batch
    reference: Tensor

    @property
    def tokens(self) -> int:
        """How many real tokens it holds."""
        return self.talks.tokens + self.judged.tokens

    @property
    def targets(self) -> int:
        """How many tokens are learnt from."""
        return self.talks.targets + self.judged.targets


def read_pairs(path: Path, tokenizer: Tokenizer) -> Pairs:
    """The pairs of a file. Raises UserError with file and line."""
    encoding = TurnsFormat(TokenizerVocabulary(tokenizer))
    try:
        data = path.read_bytes()
        lines = [line for line in data.decode("utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from error
    pairs: list[Pair] = []
    for number, line in enumerate(lines, start=1):
        try:
            pairs.append(_pair(json.loads(line), encoding))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number} is no pair of judged replies ({error}).") from error
    if not pairs:
        raise UserError(f"{path} holds no pair of judged replies.")
    return Pairs(tuple(pairs), hashlib.sha256(data).hexdigest())


def _pair(row: Mapping[str, Any], encoding: TurnsFormat) -> Pair:
    texts: list[str] = row["context"]
    if not texts or not all(
        isinstance(text, str) and text.strip() for text in (*texts, row["chosen"], row["rejected"])
    ):
        raise ValueError("context, chosen and rejected must be texts")
    roles = [Role.USER if (len(texts) - place) % 2 else Role.BOT for place in range(len(texts))]
    turns = tuple(Turn(role, text) for role, text in zip(roles, texts, strict=True))
    context = encoding.encode(Conversation(KEY, _persona(row.get("persona")), turns), CONTEXT)
    return Pair(_example(context, row["chosen"], encoding), _example(context, row["rejected"], encoding))


def _persona(named: str | list[str] | None) -> Persona:
    return load_persona(named) if isinstance(named, str) else Persona("", tuple(named or ()))


def _example(context: list[int], reply: str, encoding: TurnsFormat) -> Example:
    ids = encoding.vocabulary.encode(reply.strip())
    return Example(context, [START, *ids], [*ids, END], [1.0] * (len(ids) + 1))


def log_probs(model: AlignedModel, batch: Batch) -> Tensor:
    """(B,) nats of every row's reply, its end among them; differentiable."""
    batch = batch.to(model.embed.weight.device)
    keep = batch.labels != IGNORED
    states = model.states(batch.input_ids, batch.attention_mask, batch.decoder_ids)[keep]
    logits = F.linear(states, model.embed.weight.to(states.dtype)).float()
    nats = -F.cross_entropy(logits, batch.labels[keep], reduction="none")
    rows = keep.nonzero()[:, 0]
    return torch.zeros(len(keep), device=nats.device).index_add(0, rows, nats)


def _side_by_side(pairs: Sequence[Pair]) -> Batch:
    return collate([example for pair in pairs for example in (pair.chosen, pair.rejected)])


def _advantage(model: AlignedModel, batch: Batch) -> Tensor:
    """(P,) by how many nats the better reply is likelier than the worse one."""
    chosen, rejected = log_probs(model, batch).view(-1, 2).unbind(1)
    return chosen - rejected


def kept_reference(folder: Path, model: AlignedModel, pairs: Pairs) -> Tensor:
    """(P,) advantages under the weights that the run began with: from the run's folder, where they were kept."""
    path = folder / "reference.pt"
    if path.is_file():
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        if kept["sha256"] == pairs.sha256:
            return torch.as_tensor(kept["advantages"])
    with torch.no_grad():
        parts = [pairs.all[at : at + 16] for at in range(0, len(pairs.all), 16)]
        found = torch.cat([_advantage(model, _side_by_side(part)).cpu() for part in parts])
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"sha256": pairs.sha256, "advantages": found}, path)
    return found


def judged_batches(
    talks: Iterator[Batch], pairs: Pairs, reference: Tensor, size: int, seed: int, start: int
) -> Iterator[JudgedBatch]:
    """Each batch of talks with the next ``size`` pairs beside it, all pairs in a new order each pass."""
    place = start * size
    for batch in talks:
        chosen = [_place(place + i, len(pairs.all), seed) for i in range(size)]
        place += size
        yield JudgedBatch(batch, _side_by_side([pairs.all[i] for i in chosen]), reference[chosen])


def _place(number: int, count: int, seed: int) -> int:
    order = list(range(count))
    random.Random(f"{seed}/pairs/{number // count}").shuffle(order)
    return order[number % count]


class JudgedLoss:
    """The loss on talks, and DPO's on the pairs beside them."""

    def __init__(self, talks: ReplyLoss, settings: PreferenceSettings) -> None:
        self.talks, self.settings = talks, settings

    def __call__(self, batch: JudgedBatch) -> tuple[Tensor, Tensor]:
        """(weighted nats, sum of the weights), as ReplyLoss; the pairs' mean loss counts ``weight`` words' share."""
        nats, weights = self.talks(batch.talks)
        gained = _advantage(self.talks.model, batch.judged) - batch.reference.to(weights.device)
        lost = -F.logsigmoid(self.settings.beta * gained).mean()
        return nats + self.settings.weight * lost * weights, weights
