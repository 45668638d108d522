"""Learning from judged replies: of two replies to one talk, the better one becomes likelier and is scored higher.

Direct preference optimisation (Rafailov et al. 2023, equation 7) against the weights that the run began with, beside
the ordinary loss on talks, which keeps the language (Ouyang et al. 2022, section 3.5); and a judge, one linear map of
the decoder's state after a reply's end, learns to tell the better reply (Ouyang et al. 2022, equation 1). All pairs of
a talk's replies are learnt together. A file is JSON Lines: ``{"context": [text, …], "replies": [{"text": text,
"grade": 0, 1 or 2}, …], "persona": name, or list of facts, or null}``; the last text of the context is what was said
to the bot; a grade is 0 for a reply that makes no sense, 1 for a sensible one, 2 for one that is specific as well.
"""

from __future__ import annotations

import hashlib
import itertools
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
from dialogue.training.examples import END, IGNORED, START, Batch, padded
from dialogue.training.losses import PreferenceSettings
from dialogue.training.network import ReplyLoss
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn

KEY = ConversationKey("training", "preferences")
CONTEXT = 256
"""Tokens of a context, the persona among them; the newest turns are kept."""
GRADES = (0, 1, 2)
DECODED = 16  # replies at once


@dataclass(frozen=True, slots=True)
class Judged:
    """A talk (token ids) and the replies to it (token ids without start and end), each with its grade."""

    context: list[int]
    replies: tuple[list[int], ...]
    grades: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class JudgedTalks:
    """The talks of a file, and its SHA-256, by which the replies' likelihoods at the start are kept."""

    all: tuple[Judged, ...]
    sha256: str

    @property
    def replies(self) -> int:
        """How many replies were judged."""
        return sum(len(talk.replies) for talk in self.all)


@dataclass(frozen=True, slots=True)
class Replies:
    """Padded tensors of G talks and the R replies to them.

    (G, S) ``input_ids`` and ``attention_mask``; (R,) ``talk``: which one a reply belongs to; (R, T) ``decoder_ids``,
    the reply between its start and its end, and ``labels``; (R,) ``grades``.
    """

    input_ids: Tensor
    attention_mask: Tensor
    talk: Tensor
    decoder_ids: Tensor
    labels: Tensor
    grades: Tensor

    def to(self, device: torch.device) -> Replies:
        """The same on another device."""
        parts = (getattr(self, name) for name in self.__slots__)
        return Replies(*(part.to(device, non_blocking=True) for part in parts))

    @property
    def tokens(self) -> int:
        """How many real tokens it holds."""
        return int(self.attention_mask.sum()) + self.targets

    @property
    def targets(self) -> int:
        """How many tokens of replies are learnt from."""
        return int((self.labels != IGNORED).sum())

    def pairs(self, vague: float) -> tuple[Tensor, Tensor, Tensor]:
        """(P,) rows of better replies, of the worse ones beside them, and what each pair counts; a talk's sum is 1.

        A pair of sensible replies counts ``vague`` times one with a reply that makes no sense.
        """
        same = self.talk[:, None] == self.talk[None, :]
        better, worse = (same & (self.grades[:, None] > self.grades[None, :])).nonzero().unbind(1)
        weights = torch.where(self.grades[worse] > 0, vague, 1.0)
        total = torch.zeros(len(self.input_ids), device=weights.device).index_add(0, self.talk[better], weights)
        return better, worse, weights / total[self.talk[better]].clamp(min=1e-9)


@dataclass(frozen=True, slots=True)
class JudgedBatch:
    """A batch of talks, and judged replies beside it; ``reference`` (R,) are their log-probabilities at the start."""

    talks: Batch
    judged: Replies
    reference: Tensor

    @property
    def tokens(self) -> int:
        """How many real tokens it holds."""
        return self.talks.tokens + self.judged.tokens

    @property
    def targets(self) -> int:
        """How many tokens are learnt from."""
        return self.talks.targets + self.judged.targets


def read_judged(path: Path, tokenizer: Tokenizer) -> JudgedTalks:
    """The talks of a file of which one reply is better than another. Raises UserError with file and line."""
    encoding = TurnsFormat(TokenizerVocabulary(tokenizer))
    try:
        data = path.read_bytes()
        lines = [line for line in data.decode("utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as UTF-8 text ({error}).") from error
    talks: list[Judged] = []
    for number, line in enumerate(lines, start=1):
        try:
            talks.append(_judged(json.loads(line), encoding))
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number} is no talk with judged replies ({error}).") from error
    told = tuple(talk for talk in talks if len(set(talk.grades)) > 1)
    if not told:
        raise UserError(f"{path} holds no talk with a better and a worse reply.")
    return JudgedTalks(told, hashlib.sha256(data).hexdigest())


def _judged(row: Mapping[str, Any], encoding: TurnsFormat) -> Judged:
    texts: list[str] = row["context"]
    said = [reply["text"] for reply in row["replies"]]
    if not texts or not all(isinstance(text, str) and text.strip() for text in (*texts, *said)):
        raise ValueError("context and replies must be texts")
    grades = tuple(reply["grade"] for reply in row["replies"])
    if not all(grade in GRADES for grade in grades):
        raise ValueError("a grade is 0, 1 or 2")
    roles = [Role.USER if (len(texts) - place) % 2 else Role.BOT for place in range(len(texts))]
    turns = tuple(Turn(role, text) for role, text in zip(roles, texts, strict=True))
    context = encoding.encode(Conversation(KEY, _persona(row.get("persona")), turns), CONTEXT)
    return Judged(context, tuple(encoding.vocabulary.encode(text.strip()) for text in said), grades)


def _persona(named: str | list[str] | None) -> Persona:
    return load_persona(named) if isinstance(named, str) else Persona("", tuple(named or ()))


def side_by_side(talks: Sequence[Judged]) -> Replies:
    """Some talks and all their replies as tensors."""
    replies = [reply for talk in talks for reply in talk.replies]
    return Replies(
        input_ids=padded([talk.context for talk in talks], END),
        attention_mask=padded([[1] * len(talk.context) for talk in talks], 0).bool(),
        talk=torch.tensor([number for number, talk in enumerate(talks) for _ in talk.replies]),
        decoder_ids=padded([[START, *reply, END] for reply in replies], END),
        labels=padded([[*reply, END, IGNORED] for reply in replies], IGNORED),
        grades=torch.tensor([grade for talk in talks for grade in talk.grades]),
    )


def read_replies(model: AlignedModel, batch: Replies) -> tuple[Tensor, Tensor]:
    """(R,) nats of every reply, its end among them, and (R, width) the states after the end; differentiable.

    A talk is read once for all its replies, and replies of like length are decoded together, to spare padding.
    """
    memories = model.encode(batch.input_ids, batch.attention_mask)
    lengths = (batch.labels != IGNORED).sum(1)
    order = lengths.argsort()
    some = [order[at : at + DECODED] for at in range(0, len(order), DECODED)]
    parts = [_decoded(model, memories, batch, rows, int(lengths[rows[-1]])) for rows in some]
    log_probs, ends = (torch.cat(found)[order.argsort()] for found in zip(*parts, strict=True))
    return log_probs, ends


def _decoded(
    model: AlignedModel, memories: Sequence[Tensor], batch: Replies, rows: Tensor, longest: int
) -> tuple[Tensor, Tensor]:
    """The same for some rows, of which the longest has so many tokens with its end."""
    talk, labels = batch.talk[rows], batch.labels[rows, :longest]
    states = model.decode(
        [memory[talk] for memory in memories], batch.attention_mask[talk], batch.decoder_ids[rows, : longest + 1]
    )
    keep = labels != IGNORED
    logits = F.linear(states[:, :longest][keep], model.embed.weight.to(states.dtype)).float()
    nats = -F.cross_entropy(logits, labels[keep], reduction="none")
    log_probs = torch.zeros(len(rows), device=nats.device).index_add(0, keep.nonzero()[:, 0], nats)
    return log_probs, states[torch.arange(len(rows), device=nats.device), keep.sum(1)]


def kept_reference(folder: Path, model: AlignedModel, talks: JudgedTalks) -> tuple[Tensor, ...]:
    """For each talk its replies' (R,) log-probabilities under the weights that the run began with: from the run's
    folder, where they were kept.
    """
    path, sizes = folder / "reference.pt", [len(talk.replies) for talk in talks.all]
    if path.is_file():
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        if kept["sha256"] == talks.sha256:
            return _by_talk(torch.as_tensor(kept["log_probs"]), sizes)
    found = _log_probs(model, talks)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save({"sha256": talks.sha256, "log_probs": found}, path)
    return _by_talk(found, sizes)


def _by_talk(values: Tensor, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    ends = list(itertools.accumulate(sizes))
    return tuple(values[end - size : end] for end, size in zip(ends, sizes, strict=True))


@torch.no_grad()
def _log_probs(model: AlignedModel, talks: JudgedTalks) -> Tensor:
    """(R,) of all talks; those of like length together."""
    order = sorted(range(len(talks.all)), key=lambda number: len(talks.all[number].context))
    found: dict[int, Tensor] = {}
    for at in range(0, len(order), 8):
        numbers = order[at : at + 8]
        some = [talks.all[number] for number in numbers]
        log_probs, _ = read_replies(model, side_by_side(some).to(model.embed.weight.device))
        found.update(zip(numbers, _by_talk(log_probs.cpu(), [len(talk.replies) for talk in some]), strict=True))
    return torch.cat([found[number] for number in range(len(order))])


def judged_batches(
    talks: Iterator[Batch], judged: JudgedTalks, reference: Sequence[Tensor], size: int, seed: int, start: int
) -> Iterator[JudgedBatch]:
    """Each batch of talks with ``size`` judged ones beside it, all of them in a new order each pass."""
    place = start * size
    for batch in talks:
        chosen = [_place(place + i, len(judged.all), seed) for i in range(size)]
        place += size
        before = torch.cat([reference[number] for number in chosen])
        yield JudgedBatch(batch, side_by_side([judged.all[number] for number in chosen]), before)


def _place(number: int, count: int, seed: int) -> int:
    order = list(range(count))
    random.Random(f"{seed}/judged/{number // count}").shuffle(order)
    return order[number % count]


class JudgedLoss:
    """The loss on talks, DPO's on the judged replies beside them, and the judge's."""

    def __init__(self, talks: ReplyLoss, settings: PreferenceSettings) -> None:
        self.talks, self.settings = talks, settings

    def __call__(self, batch: JudgedBatch) -> tuple[Tensor, Tensor]:
        """(weighted nats, sum of the weights), as ReplyLoss; the pairs' mean losses count as much as a mean word's."""
        nats, weights = self.talks(batch.talks)
        model, settings = self.talks.model, self.settings
        judged = batch.judged.to(weights.device)
        log_probs, ends = read_replies(model, judged)
        better, worse, share = judged.pairs(settings.vague)
        gained = log_probs - batch.reference.to(weights.device)
        lost = settings.weight * -F.logsigmoid(settings.beta * (gained[better] - gained[worse]))
        if model.judge is not None:
            scores = model.judge(ends.float())[:, 0]
            lost = lost - settings.judge_weight * F.logsigmoid(scores[better] - scores[worse])
        return nats + (lost * share).sum() / len(judged.input_ids) * weights, weights
