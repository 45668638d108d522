"""Our searches against transformers' generate, token for token in fp32, over many tiny random networks."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from dialogue.candidates import Hypothesis
from dialogue.decoding.config import DecodingConfig, Strategy
from dialogue.decoding.request import DecodingRequest
from dialogue.decoding.search import decode
from tests.dialogue.decoding.tiny_models import TransformersModel

NEAR_TIE = 1e-5
SEEDS = range(60)


def tiny_bart(vocab_size: int, init_std: float) -> tuple[Any, int, int, int]:
    config = BartConfig(
        vocab_size=vocab_size, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, pad_token_id=1,
        bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None, init_std=init_std,
    )  # fmt: skip
    return BartForConditionalGeneration(config).train(False), 2, 2, 1


def tiny_t5(vocab_size: int, init_std: float) -> tuple[Any, int, int, int]:
    config = T5Config(
        vocab_size=vocab_size, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_decoder_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, initializer_factor=4 * init_std,
    )  # fmt: skip
    config.decoder_start_token_id = 0
    return T5ForConditionalGeneration(config).train(False), 0, 1, 0


def chosen(dice: random.Random) -> DecodingConfig:
    max_length = dice.choice([1, 3, 8, 14])
    return DecodingConfig(
        num_beams=(beams := dice.choice([2, 3, 5])),
        num_return=beams,
        min_length=dice.choice([0, 2, max_length]) if max_length > 2 else 0,
        max_length=max_length,
        length_penalty=dice.choice([0.0, 0.65, 1.0, 2.0, -0.5]),
        early_stopping=dice.choice([True, False, "never"]),
        no_repeat_ngram=dice.choice([0, 1, 2, 3]),
        no_repeat_context_ngram=dice.choice([0, 1, 2, 3]),
        repetition_penalty=dice.choice([1.0, 1.3]),
        forced_first_id=dice.choice([None, 3]),
        forced_last_id=dice.choice([None, -1]),
    )


def theirs(network: Any, ids: torch.Tensor, config: DecodingConfig, banned: list[list[int]], start_id: int) -> Any:
    greedy = config.strategy is Strategy.GREEDY
    return network.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        num_beams=1 if greedy else config.num_beams,
        num_return_sequences=1 if greedy else config.num_return,
        max_length=config.max_length + 1,  # transformers counts the start token
        min_length=config.min_length,  # here too, but it compares before the token is added
        length_penalty=config.length_penalty,
        early_stopping=config.early_stopping,
        no_repeat_ngram_size=config.no_repeat_ngram,
        encoder_no_repeat_ngram_size=config.no_repeat_context_ngram,
        repetition_penalty=config.repetition_penalty,
        forced_bos_token_id=config.forced_first_id,
        forced_eos_token_id=config.forced_last_id,
        bad_words_ids=banned or None,
        do_sample=False,
        return_dict_in_generate=True,
        output_scores=True,
    )


def trimmed(row: list[int], eos_id: int, length: int) -> tuple[int, ...]:
    """A generated row without the start token and without what fills it up."""
    reply = row[1:]
    reply = reply[: reply.index(eos_id) + 1] if eos_id in reply else reply[:length]
    return tuple(reply)


def compare(mine: list[Hypothesis], out: Any, eos_id: int) -> tuple[int, int]:
    """(replies compared, near-ties); fails on any other difference."""
    rows = out.sequences.tolist()
    scores = out.sequences_scores.tolist() if out.get("sequences_scores") is not None else [None] * len(rows)
    ties = 0
    for hypothesis, row, score in zip(mine, rows, scores, strict=False):
        same = hypothesis.token_ids == trimmed(row, eos_id, len(hypothesis.token_ids))
        if not same:
            assert score is not None and abs(score - hypothesis.score) < NEAR_TIE, (hypothesis, row, score)
            ties += 1
        elif score is not None:
            assert hypothesis.score == pytest.approx(score, abs=1e-4)
    real = sum(score is None or score > -1e8 for score in scores)
    assert len(mine) == real
    return len(mine), ties


def run(seed: int, strategy: Strategy) -> tuple[int, int]:
    torch.manual_seed(seed)
    dice = random.Random(seed)
    build = dice.choice([tiny_bart, tiny_t5])
    vocab_size = dice.choice([24, 40, 97, 300])
    network, start_id, eos_id, pad_id = build(vocab_size, dice.choice([0.3, 0.8, 1.5]))
    config = chosen(dice).with_(strategy=strategy)
    if strategy is Strategy.GREEDY:  # there transformers penalises logits, elsewhere log-probabilities as we do
        config = config.with_(repetition_penalty=1.0)
    if config.forced_last_id is not None:
        config = config.with_(forced_last_id=eos_id)
    banned = dice.choice([[], [[5], [6, 7], [8, 9, 10]]])
    ids = torch.randint(3, vocab_size, (1, dice.randint(1, 9)))
    out = theirs(network, ids, config, banned, start_id)
    request = DecodingRequest(
        id=0, input_ids=ids[0].tolist(), config=config, banned=tuple(tuple(phrase) for phrase in banned)
    )
    mine = decode(TransformersModel(network), [request], start_id=start_id, eos_id=eos_id, pad_id=pad_id)
    return compare(mine[0], out, eos_id)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("strategy", [Strategy.BEAM, Strategy.GREEDY])
def test_a_search_equals_transformers_token_for_token(strategy: Strategy, capsys: pytest.CaptureFixture[str]) -> None:
    results = [run(seed, strategy) for seed in SEEDS]
    replies, ties = (sum(column) for column in zip(*results, strict=True))
    with capsys.disabled():
        print(f"\n{strategy}: {replies} replies equal transformers', {ties} of them near-ties (gap under {NEAR_TIE})")  # noqa: T201
    assert replies >= len(SEEDS)
    assert ties <= replies // 20
