"""A stream of requests: both policies answer everybody, alike, and the continuous one waits less."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dialogue.decoding.search import Decoder
from eval.bench.stream import LONGEST, SHORTEST, EndsAt, Served, gains, measure, poisson_stream, serve
from tests.dialogue.decoding.tiny_models import RecurrentModel

VOCABULARY = 60


class Ticking(EndsAt):
    """The same network on a clock of its own: an encoding takes 2 seconds, a step 1, whatever the batch."""

    now = 0.0

    def encode(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.now += 2
        return super().encode(input_ids, attention_mask)

    def step(
        self, last_ids: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        self.now += 1
        return super().step(last_ids, state)


def delays(*, continuous: bool, load: float) -> list[float]:
    model = Ticking(RecurrentModel(VOCABULARY, 1), eos_id=1)
    decoder = Decoder(model, start_id=0, eos_id=1, pad_id=2)
    clock: Callable[[], float] = lambda: model.now  # noqa: E731
    stream = poisson_stream(load, 40, VOCABULARY, context=6, beams=2, seed=3)
    return serve(decoder, stream, continuous=continuous, max_batch=8, clock=clock)


def test_a_reply_ends_where_its_context_says() -> None:
    stream = poisson_stream(1.0, 5, VOCABULARY, context=6, beams=3, seed=2)
    decoder = Decoder(EndsAt(RecurrentModel(VOCABULARY, 1), 1), start_id=0, eos_id=1, pad_id=2)
    decoder.admit(stream.requests)
    found = {}
    while decoder.live:
        found.update({done.id: done.hypotheses[0] for done in decoder.step()})
    for request in stream.requests:
        assert len(found[request.id].token_ids) == request.input_ids[0]
        assert SHORTEST <= request.input_ids[0] <= LONGEST


def test_everybody_is_served_and_continuous_batching_waits_less() -> None:
    static, continuous = (delays(continuous=policy, load=0.1) for policy in (False, True))
    assert min(static) > SHORTEST and min(continuous) > SHORTEST
    assert sorted(continuous)[37] < sorted(static)[37]
    assert sum(continuous) < sum(static)


def test_a_static_batch_hands_out_its_replies_together() -> None:
    load = 1e9  # the first one alone, then eight at a time
    assert len({round(delay, 6) for delay in delays(continuous=False, load=load)}) == 6
    assert len({round(delay, 6) for delay in delays(continuous=True, load=load)}) > 20


def test_both_policies_are_measured_on_the_same_stream() -> None:
    rows = measure(
        RecurrentModel(VOCABULARY, 1), [50.0], count=12, context=6, beams=2, max_batch=4, start_id=0, eos_id=1, pad_id=2
    )
    assert [(row.policy, row.load) for row in rows] == [("static", 50.0), ("continuous", 50.0)]
    assert all(0 < row.median_s <= row.p95_s and row.replies_per_second > 0 for row in rows)


def test_the_gain_is_the_load_borne_at_an_equal_delay() -> None:
    rows = [Served("static", 1.0, 1.0, 1.0, 3.0), Served("static", 2.0, 2.0, 1.0, 9.0)]
    rows += [Served("continuous", load, load, 1.0, p95) for load, p95 in ((1.0, 1.0), (2.0, 4.0), (3.0, 5.0))]
    (low, gain), (high, unknown) = gains(rows)
    assert (low, high, unknown) == (1.0, 2.0, None)
    assert gain is not None and abs(gain - (1 + 2 / 3)) < 1e-9
