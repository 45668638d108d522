"""Requests that keep coming: static batches against continuous batching, under a Poisson stream at several loads.

Both serve the same arrivals with the same network and the same search; time is the measured time of the model's steps,
and waiting between arrivals is skipped. A static batch takes whoever waits and hands out its replies when the slowest
is done, as one call of ``generate`` does (Yu et al. 2022, "Orca", section 3: early-finished requests cannot return);
a continuous one lets newcomers in between two steps and finished replies out. Finished rows cost neither any more work.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dialogue.decoding.config import DecodingConfig
from dialogue.decoding.protocol import JoinableSeq2Seq
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.search import Decoder

Clock = Callable[[], float]

SHORTEST, LONGEST = 8, 40
"""Reply lengths in tokens, drawn evenly: what makes rows of a batch finish at different times."""


class EndsAt:
    """A network whose replies end after a set number of tokens: random weights would not end by themselves.

    The first context token of a row says how long its reply is.
    """

    def __init__(self, network: JoinableSeq2Seq, eos_id: int) -> None:
        self.network, self.eos_id, self.vocab_size = network, eos_id, network.vocab_size

    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Any, Tensor]:
        """(B, S) ids and mask -> the network's state and (B,) tokens to come."""
        return self.network.encode(input_ids, attention_mask), input_ids[:, 0].clone()

    def step(self, last_ids: Tensor, state: tuple[Any, Tensor]) -> tuple[Tensor, tuple[Any, Tensor]]:
        """(N,) -> (N, V): the end is certain for the last token and impossible before."""
        log_probs, inner = self.network.step(last_ids, state[0])
        left = state[1] - 1
        log_probs[:, self.eos_id] = -torch.inf
        log_probs[left == 0] = -torch.inf
        log_probs[left == 0, self.eos_id] = 0.0
        return log_probs, (inner, left)

    def reorder(self, state: tuple[Any, Tensor], rows: Tensor) -> tuple[Any, Tensor]:
        """Follow the rows."""
        return self.network.reorder(state[0], rows), state[1][rows]

    def join(self, first: tuple[Any, Tensor], second: tuple[Any, Tensor]) -> tuple[Any, Tensor]:
        """Both states' rows."""
        return self.network.join(first[0], second[0]), torch.cat([first[1], second[1]])


@dataclass(frozen=True, slots=True)
class Stream:
    """Arrivals in seconds from the start, and the requests themselves."""

    arrivals: list[float]
    requests: list[DecodingRequest]


@dataclass(frozen=True, slots=True)
class Served:
    """What a policy made of a stream: replies a second until the last one was out, and delays in seconds."""

    policy: str
    load: float
    replies_per_second: float
    median_s: float
    p95_s: float


def poisson_stream(load: float, count: int, vocab_size: int, context: int, beams: int, seed: int) -> Stream:
    """``count`` requests at ``load`` a second on average; contexts of random words, replies of random lengths."""
    dice, clock = random.Random(seed), 0.0
    arrivals, requests = [], []
    config = DecodingConfig(
        num_beams=beams, num_return=1, max_length=LONGEST, no_repeat_ngram=3, no_repeat_context_ngram=3
    )
    for number in range(count):
        clock += dice.expovariate(load)
        arrivals.append(clock)
        words = [dice.randrange(LONGEST + 1, vocab_size) for _ in range(context - 1)]
        requests.append(DecodingRequest(id=number, input_ids=[dice.randint(SHORTEST, LONGEST), *words], config=config))
    return Stream(arrivals, requests)


def serve(
    decoder: Decoder,
    stream: Stream,
    *,
    continuous: bool,
    max_batch: int,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Serve a stream to its end: each request's delay in seconds, from its arrival to its reply."""
    now, waiting, delays = 0.0, list(range(len(stream.requests))), [0.0] * len(stream.requests)
    ready: list[int] = []
    while waiting or decoder.live:
        if not decoder.live and stream.arrivals[waiting[0]] > now:
            now = stream.arrivals[waiting[0]]
        room = max_batch - len(decoder.live) if continuous or not decoder.live else 0
        entering = [number for number in waiting[:room] if stream.arrivals[number] <= now]
        waiting = waiting[len(entering) :]
        start = clock()
        decoder.admit([stream.requests[number] for number in entering])
        finished = decoder.step()
        now += clock() - start
        ready += [done.id for done in finished]
        if continuous or not decoder.live:
            for number in ready:
                delays[number] = now - stream.arrivals[number]
            ready.clear()
    return delays


def measure(
    network: JoinableSeq2Seq, loads: Sequence[float], *, count: int, context: int, beams: int, max_batch: int,
    start_id: int, eos_id: int, pad_id: int,
) -> list[Served]:  # fmt: skip
    """Both policies on the same streams, turn by turn."""
    rows: list[Served] = []
    model = EndsAt(network, eos_id)
    for load in loads:
        stream = poisson_stream(load, count, network.vocab_size, context, beams, seed=1)
        for policy in ("static", "continuous"):
            decoder = Decoder(model, start_id=start_id, eos_id=eos_id, pad_id=pad_id)
            delays = serve(decoder, stream, continuous=policy == "continuous", max_batch=max_batch)
            last = max(arrival + delay for arrival, delay in zip(stream.arrivals, delays, strict=True))
            ordered = sorted(delays)
            rows.append(
                Served(policy, load, count / last, ordered[count // 2], ordered[min(count - 1, int(0.95 * count))])
            )
    return rows


def gains(rows: Sequence[Served]) -> list[tuple[float, float | None]]:
    """For each load (requests/s): how many times that load continuous batching bears at static batching's p95 delay.

    The delay between two measured loads is interpolated. None where continuous batching is quicker at every load
    measured (higher loads would tell) or slower at each.
    """
    curve = sorted((row.load, row.p95_s) for row in rows if row.policy == "continuous")
    found: list[tuple[float, float | None]] = []
    for row in rows:
        if row.policy == "static":
            borne = _load_at(curve, row.p95_s)
            found.append((row.load, None if borne is None else borne / row.load))
    return found


def _load_at(curve: Sequence[tuple[float, float]], delay: float) -> float | None:
    """The highest load where a rising curve of (load, delay) points passes this delay."""
    for (low, before), (high, after) in reversed(list(itertools.pairwise(curve))):
        if before <= delay <= after:
            return low if after == before else low + (high - low) * (delay - before) / (after - before)
    return None
