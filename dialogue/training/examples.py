"""From talks to training examples: what the encoder reads, what the decoder says, and how much each token counts.

The "turns" format. Encoder: the persona and ``<|endoftext|>`` where the speaker has one; then every earlier turn,
another's as ``text <|im_end|>``, the speaker's own as ``<|im_start|> text <|im_end|>``. Decoder: ``<|im_start|>`` and
the reply, and to make more of one reading of the context, the following turns in the same form.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dialogue.training.tokens import TokenTalks

PERSONA_END, START, END = 0, 1, 2
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Windows:
    """How much of a talk an example holds; tokens.

    ``context`` are the caps on the context, one drawn for each example; ``reply`` caps the decoder. ``later_weight``
    is what a token of a turn after the reply counts; ``opening_share`` of the examples answer one of the first two
    turns; ``persona_dropout`` of the personas are left out.
    """

    context: tuple[int, ...] = (64, 64, 64, 112, 112, 192)
    persona: int = 96
    reply: int = 64
    turns: int = 4
    later_weight: float = 0.6
    opening_share: float = 0.12
    persona_dropout: float = 0.15


@dataclass(frozen=True, slots=True)
class Example:
    """Encoder ids; decoder ids; for each decoder position the label (IGNORED where none) and its weight."""

    encoder: list[int]
    decoder: list[int]
    labels: list[int]
    weights: list[float]


def context_ids(talks: TokenTalks, talk: int, target: int, cap: int, persona: Sequence[int]) -> list[int]:
    """What the encoder reads before turn ``target`` of a talk: the persona and the newest whole turns under the cap.

    The newest turn is always there; when it alone is too long, its end is kept.
    """
    speaker, newest = int(talks.speakers[target]), target - 1
    parts: list[list[int]] = []
    room = cap
    for index in range(newest, int(talks.talk_starts[talk]) - 1, -1):
        own = [START] if int(talks.speakers[index]) == speaker else []
        part = [*own, *talks.turn(index), END]
        if len(part) > room:
            if index == newest:
                parts.append([*own, *part[-(cap - len(own)) :]])
            break
        parts.append(part)
        room -= len(part)
    front = [*persona, PERSONA_END] if persona else []
    return front + [token for part in reversed(parts) for token in part]


def make_example(talks: TokenTalks, talk: int, target: int, cap: int, windows: Windows, persona: bool) -> Example:
    """The example whose first label is turn ``target`` of a talk (not its first turn)."""
    speaker = int(talks.speakers[target])
    facts = talks.persona(talk)[: windows.persona] if persona and speaker == 1 else []
    tokens, weights = [START], [0.0]
    for index in range(target, min(target + windows.turns, int(talks.talk_starts[talk + 1]))):
        own = int(talks.speakers[index]) == speaker
        weight = 1.0 if index == target else windows.later_weight
        if index > target and own:
            tokens.append(START)
            weights.append(0.0)
        turn = talks.turn(index)
        tokens += [*turn, END]
        weights += [weight] * (len(turn) + 1)
        if len(tokens) > windows.reply:
            break
    tokens, weights = tokens[: windows.reply + 1], weights[: windows.reply + 1]
    labels = [token if weight else IGNORED for token, weight in zip(tokens[1:], weights[1:], strict=True)]
    return Example(context_ids(talks, talk, target, cap, facts), tokens[:-1], labels, weights[1:])


class Sampler:
    """Endless examples from several sources; every draw follows from the seed and the draw's number alone.

    Of a source in ``bot_only`` only the second speaker's turns are targets, with the persona always there.
    """

    def __init__(
        self,
        sources: Mapping[str, TokenTalks],
        weights: Mapping[str, float],
        windows: Windows,
        seed: int,
        bot_only: Collection[str] = (),
    ) -> None:
        self.bot_only = frozenset(bot_only)
        self.names = [name for name in sources if weights[name] > 0 and sources[name].talks]
        self.sources, self.windows, self.seed = sources, windows, seed
        self.shares = [weights[name] * len(sources[name].ids) for name in self.names]

    def chunk(self, number: int, count: int) -> list[Example]:
        """``count`` examples, always the same for the same number."""
        rng = random.Random(f"{self.seed}/{number}")
        return [self._draw(rng) for _ in range(count)]

    def _draw(self, rng: random.Random) -> Example:
        name = rng.choices(self.names, self.shares)[0]
        talks = self.sources[name]
        turn = rng.randrange(len(talks.turn_words))
        talk = _talk_of(talks, turn)
        first, last = int(talks.talk_starts[talk]) + 1, int(talks.talk_starts[talk + 1]) - 1
        target = min(max(turn, first), last)
        if rng.random() < self.windows.opening_share:
            target = min(first + rng.randrange(2), last)
        persona = rng.random() >= self.windows.persona_dropout
        if name in self.bot_only:
            target, persona = target + (int(talks.speakers[target]) == 0 and target < last), True
        return make_example(talks, talk, target, rng.choice(self.windows.context), self.windows, persona)


def _talk_of(talks: TokenTalks, turn: int) -> int:
    return int(talks.talk_starts.searchsorted(turn, side="right")) - 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded tensors: (B, S) ``input_ids`` and ``attention_mask``, (B, T) ``decoder_ids``, ``labels``, ``weights``."""

    input_ids: Tensor
    attention_mask: Tensor
    decoder_ids: Tensor
    labels: Tensor
    weights: Tensor

    @property
    def tokens(self) -> int:
        """How many real tokens (context and reply) the batch holds."""
        return int(self.attention_mask.sum() + (self.weights >= 0).sum())

    @property
    def targets(self) -> int:
        """How many tokens of the batch are learnt from."""
        return int((self.labels != IGNORED).sum())

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(
            self.input_ids.to(device, non_blocking=True),
            self.attention_mask.to(device, non_blocking=True),
            self.decoder_ids.to(device, non_blocking=True),
            self.labels.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
        )


def padded(rows: Sequence[list[int]], fill: int) -> Tensor:
    """(N, longest), right-padded."""
    size = max(map(len, rows))
    return torch.tensor([row + [fill] * (size - len(row)) for row in rows])


def collate(examples: Sequence[Example]) -> Batch:
    """Right-padded tensors; a padded decoder position has the weight -1."""
    encoder = [example.encoder for example in examples]
    steps = max(len(example.decoder) for example in examples)
    return Batch(
        input_ids=padded(encoder, END),
        attention_mask=padded([[1] * len(row) for row in encoder], 0).bool(),
        decoder_ids=padded([example.decoder for example in examples], END),
        labels=padded([example.labels for example in examples], IGNORED),
        weights=torch.tensor([e.weights + [-1.0] * (steps - len(e.weights)) for e in examples]),
    )


def bucketed(examples: Sequence[Example], budget: int, rng: random.Random) -> list[list[Example]]:
    """Batches of examples of like length, each at most ``budget`` tokens with padding, in random order."""
    ordered = sorted(examples, key=lambda e: (len(e.encoder) // 16, len(e.decoder)))
    batches: list[list[Example]] = []
    current: list[Example] = []
    longest = (0, 0)
    for example in ordered:
        wider = (max(longest[0], len(example.encoder)), max(longest[1], len(example.decoder)))
        if current and sum(wider) * (len(current) + 1) > budget:
            batches.append(current)
            current, wider = [], (len(example.encoder), len(example.decoder))
        current.append(example)
        longest = wider
    if current:
        batches.append(current)
    rng.shuffle(batches)
    return batches


def batches(sampler: Sampler, budget: int, start: int = 0, share: tuple[int, int] = (0, 1)) -> Iterator[Batch]:
    """Endless batches from batch number ``start`` on. Examples are drawn and sorted in chunks of 1,024 or more; each
    of ``share[1]`` processes takes every ``share[1]``-th batch of a chunk, so that all take different ones in step.
    """
    number, skip, size = 0, start, max(1024, budget // 2)
    while True:
        rng = random.Random(f"{sampler.seed}/order/{number}")
        groups = bucketed(sampler.chunk(number, size), budget, rng)
        groups = groups[: len(groups) - len(groups) % share[1]][share[0] :: share[1]]
        number += 1
        if skip >= len(groups):
            skip -= len(groups)
            continue
        yield from (collate(group) for group in groups[skip:])
        skip = 0


def ahead(source: Iterator[Batch], depth: int = 8) -> Iterator[Batch]:
    """The same batches, made in a thread of their own while an accelerator works on those before."""
    ready: queue.Queue[Batch | Exception] = queue.Queue(depth)

    def work() -> None:
        try:
            for batch in source:
                ready.put(batch)
        except Exception as error:  # raised again where the batches are used
            ready.put(error)

    threading.Thread(target=work, daemon=True, name="batches").start()
    while True:
        batch = ready.get()
        if isinstance(batch, Exception):
            raise batch
        yield batch
