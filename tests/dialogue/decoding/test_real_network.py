"""The promises of the search kept by a real network with caches: in fp32, alone and in a changing crowd."""

from __future__ import annotations

import random

import pytest
import torch

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import DecodingConfig, Strategy
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.search import Decoder, decode
from dialogue.models.bart import BartConfig, BartSeq2Seq
from dialogue.models.kernels import plain_kernels
from tests.dialogue.decoding.test_parity import NEAR_TIE, tiny_bart

START, EOS, PAD = 2, 2, 1
VOCABULARY = 120


def network(seed: int) -> BartSeq2Seq:
    torch.manual_seed(seed)
    theirs, *_ = tiny_bart(VOCABULARY, 0.8)
    settings = {**theirs.config.to_dict(), "model_type": "bart"}
    return BartSeq2Seq(BartConfig.from_settings(settings), theirs.state_dict(), plain_kernels(torch.float32))


def some_config(dice: random.Random, seed: int) -> DecodingConfig:
    strategy = dice.choice(list(Strategy))
    return DecodingConfig(
        strategy=strategy, num_beams=4, num_groups=2 if strategy is Strategy.DIVERSE_BEAM else 1,
        diversity_penalty=0.5, delay_steps=2, samples=3, top_k=dice.choice([0, 10]), num_return=3,
        max_length=dice.randint(3, 12), no_repeat_ngram=dice.choice([0, 2]),
        no_repeat_context_ngram=dice.choice([0, 2]), early_stopping=dice.choice([True, False]), seed=seed,
    )  # fmt: skip


def same(first: list[Hypothesis], second: list[Hypothesis]) -> bool:
    """Whether both are the same; fails unless what differs is a near-tie."""
    if [h.token_ids for h in first] == [h.token_ids for h in second]:
        return True
    assert [h.score for h in first] == pytest.approx([h.score for h in second], abs=NEAR_TIE)
    return False


@pytest.mark.parametrize("seed", range(6))
def test_a_networks_reply_is_the_same_alone_and_in_a_changing_crowd(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, model = random.Random(seed), network(seed)
    requests = [
        DecodingRequest(
            id=n, input_ids=[dice.randrange(3, VOCABULARY) for _ in range(dice.randint(1, 12))],
            config=some_config(dice, n),
        )
        for n in range(14)
    ]  # fmt: skip
    arrives = [dice.randint(0, 12) for _ in requests]
    decoder, found = Decoder(model, start_id=START, eos_id=EOS, pad_id=PAD), {}
    for step in range(30):
        decoder.admit([request for request, when in zip(requests, arrives, strict=True) if when == step])
        if step == 6 and decoder.live:
            decoder.drop(decoder.live[len(decoder.live) // 2])
        if decoder.live:
            found.update({done.id: done.hypotheses for done in decoder.step()})
    alone = {n: decode(model, [requests[n]], start_id=START, eos_id=EOS, pad_id=PAD)[0] for n in found}
    ties = sum(not same(found[n], alone[n]) for n in found)
    with capsys.disabled():
        print(f"\n{len(found)} requests alone and in a crowd, {ties} near-ties (gap under {NEAR_TIE})")  # noqa: T201
    assert len(found) >= 13
    assert ties <= 1
