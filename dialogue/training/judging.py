"""Training a judge of replies for weights that are there: of two replies to one talk, which is the better one?

The network that chats stays as it is. Its decoder's upper blocks get low-rank corrections that hold only while judging,
and a vector scores the state after a reply's end, so that the better of two replies to a talk scores higher (Bradley
and Terry 1952; Ouyang et al. 2022, equation 1), over all pairs of a talk's judged replies. What lies below the
corrected blocks never changes, so it is read once and kept, in bfloat16: 17 kB a token of the talk where fifteen blocks
of width 576 are corrected, so about 5 GB for 3,600 short talks.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedModel
from dialogue.models.judge import CORRECTED, Judge
from dialogue.training.adapters import AdapterConfig, attach
from dialogue.training.judged import JudgedTalk, Replies, side_by_side
from dialogue.training.preferences import TALKS_READ, log_probs, sight_of
from dialogue.training.train import TrainSettings

NEAR = 16  # batches of talks that are sorted by length together, against padding


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """``first``: the first decoder block with corrections, of ``rank``; -1: the upper half. ``talks`` in each step.
    ``vague``: what a pair of sensible replies counts against one with a reply that makes no sense. One talk in
    ``held_out`` is measured on.
    """

    first: int = -1
    rank: int = 16
    talks: int = 8
    vague: float = 0.5
    held_out: int = 10
    seed: int = 0
    train: TrainSettings = field(default_factory=lambda: TrainSettings(minutes=30, learning_rate=3e-4))

    def for_layers(self, layers: int) -> JudgeSettings:
        """For a decoder of so many blocks. Raises UserError when the first one is not among them."""
        if self.first >= layers:
            raise UserError(f"The network has {layers} blocks; --first is 0 to {layers - 1}.")
        return replace(self, first=layers // 2 if self.first < 0 else self.first)


@dataclass(frozen=True, slots=True)
class Reading:
    """Talks with their replies, read as far as nothing changes: the (G, S, width) ``memories`` of the corrected blocks
    and the (G, T, width) ``states`` that enter the first of them.
    """

    replies: Replies
    memories: tuple[Tensor, ...]
    states: Tensor

    @property
    def tokens(self) -> int:
        """How many real tokens it holds."""
        return self.replies.tokens

    @property
    def targets(self) -> int:
        """How many tokens the judged replies have."""
        return self.replies.targets


@torch.no_grad()
def read_talks(
    model: AlignedModel, talks: Sequence[JudgedTalk], first: int, on_done: Callable[[int], None] = lambda count: None
) -> list[tuple[Tensor, Tensor]]:
    """For each talk its (L, S, width) memories of the blocks from ``first`` on and its (T, width) states, bfloat16."""
    order = sorted(range(len(talks)), key=lambda number: talks[number].size)
    found: dict[int, tuple[Tensor, Tensor]] = {}
    for at in range(0, len(order), TALKS_READ):
        numbers = order[at : at + TALKS_READ]
        batch = side_by_side([talks[number] for number in numbers])
        memories = model.encode(batch.input_ids, batch.attention_mask)
        states = model.through(0, model.embed(batch.decoder_ids), memories[:first], sight_of(model, batch))
        sizes = zip(numbers, batch.attention_mask.sum(1).tolist(), batch.nodes.tolist(), strict=True)
        for row, (number, size, nodes) in enumerate(sizes):
            mine = torch.stack([memory[row, :size] for memory in memories[first:]])
            found[number] = mine.bfloat16(), states[row, :nodes].to(torch.bfloat16, copy=True)
        on_done(len(found))
    return [found[number] for number in range(len(talks))]


def together(
    talks: Sequence[JudgedTalk], read: Sequence[tuple[Tensor, Tensor]], numbers: Sequence[int], dtype: torch.dtype
) -> Reading:
    """Some of the talks that were read, side by side."""
    pad = nn.utils.rnn.pad_sequence
    memories = pad([read[number][0].transpose(0, 1) for number in numbers], batch_first=True).to(dtype)
    states = pad([read[number][1] for number in numbers], batch_first=True).to(dtype)
    return Reading(side_by_side([talks[number] for number in numbers]), memories.unbind(2), states)


def last_states(model: AlignedModel, reading: Reading, first: int) -> Tensor:
    """(G, T, width) states after the last block."""
    sight = sight_of(model, reading.replies)
    return model.closed(model.through(first, reading.states, reading.memories, sight))


@torch.no_grad()
def mean_log_probs(model: AlignedModel, reading: Reading, first: int) -> Tensor:
    """(R,) nats per token of the replies, ends included, by blocks that are not corrected."""
    nats = log_probs(model, last_states(model, reading, first), reading.replies)
    return nats / reading.replies.asked[:, 0].bincount(minlength=len(nats))


class JudgeInTraining(nn.Module):
    """A frozen network with corrections to train in the decoder's blocks from ``settings.first`` on, and the vector."""

    def __init__(self, model: AlignedModel, settings: JudgeSettings) -> None:
        super().__init__()
        self.model, self.settings = model, settings
        adapters = AdapterConfig(settings.rank, float(settings.rank), CORRECTED, norms=False)
        torch.manual_seed(settings.seed)
        attach(nn.ModuleList(list(model.decoder.layers)[settings.first :]), adapters)
        self.vector = nn.Parameter(torch.zeros(1, model.config.width))

    def scores(self, reading: Reading) -> Tensor:
        """(R,) float32, higher for better replies."""
        states = last_states(self.model, reading, self.settings.first)
        return states[reading.replies.talk, reading.replies.ends].float() @ self.vector[0]

    def forward(self, reading: Reading) -> tuple[Tensor, Tensor]:
        """(sum of the talks' losses in nats, number of talks): the pairs of a talk count 1 together."""
        scores = self.scores(reading)
        better, worse, share = reading.replies.pairs(self.settings.vague)
        lost = -F.logsigmoid(scores[better] - scores[worse])
        return (lost * share).sum(), torch.tensor(float(len(reading.replies.input_ids)))

    def trained(self) -> dict[str, nn.Parameter]:
        """What the optimizer changes, by name."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def judge(self) -> Judge:
        """As it goes with the weights."""
        names = {name.removeprefix("model."): p.detach() for name, p in self.trained().items() if name != "vector"}
        return Judge(self.vector.detach()[0], names)  # alpha is the rank: nothing is left to scale


def is_held_out(talk: JudgedTalk, one_in: int) -> bool:
    """Whether a talk is measured on and never learnt from: by the hash of its context as it is read."""
    return int(hashlib.sha256(json.dumps(talk.context).encode()).hexdigest(), 16) % one_in == 0


def orders(lengths: Mapping[int, int], size: int, seed: int, start: int) -> Iterator[list[int]]:
    """Endless batches of ``size`` talks' numbers, from number ``start`` on; those of like length side by side, every
    talk once a pass, the last ones of a pass left out where they fill no batch.
    """
    a_pass = len(lengths) // size
    for number in itertools.count(start // a_pass):
        rng = random.Random(f"{seed}/judge/{number}")
        mixed = rng.sample(sorted(lengths), len(lengths))
        parts = (mixed[at : at + NEAR * size] for at in range(0, len(mixed), NEAR * size))
        ordered = [one for part in parts for one in sorted(part, key=lengths.__getitem__)]
        made = [ordered[at : at + size] for at in range(0, a_pass * size, size)]
        rng.shuffle(made)
        yield from made[start % a_pass if number == start // a_pass else 0 :]
