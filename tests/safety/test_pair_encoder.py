"""The pair encoder, by a tiny network with random weights."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from dialogue.errors import UserError
from dialogue.turns import Role, Turn
from safety.detectors import discover, pair_encoder
from safety.detectors.linear import LinearDetector
from safety.detectors.pair_encoder import Blend, PairEncoderDetector, PairModel, PairNetwork, Shape, pair_ids
from safety.linear_model import shipped_model
from safety.passage import Passage
from safety.policy import shipped_policy
from safety.training.encoder import Run, padded
from safety.training.encoder_data import Example, load_base
from tests.safety.conftest import conversation

SHAPE = Shape(vocabulary=120, positions=128, width=64, inner=96, attention_heads=2, depth=2, outputs=3)
PLAIN = Blend(0.0, 1.0, 0.0, (0.95, 0.9, 0.8))


def network(seed: int = 0) -> PairNetwork:
    torch.manual_seed(seed)
    return PairNetwork(SHAPE).eval()


def tokenizer() -> Tokenizer:
    words = ["you", "are", "kind", "rude", "we", "agree", "no", "thanks"]
    vocabulary = {"[UNK]": 0} | {word: at for at, word in enumerate(words, 1)}
    made = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    return made


def test_the_network_reads_as_the_reference_implementation_does(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=120,
        hidden_size=64,
        intermediate_size=96,
        max_position_embeddings=128,
        num_attention_heads=2,
        num_hidden_layers=2,
    )
    torch.manual_seed(1)
    reference = BertModel(config)
    reference.train(False)
    weights = {name: value.contiguous() for name, value in reference.state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    ours = load_base(tmp_path, 3).eval()
    ids, sides = torch.tensor([[101, 5, 6, 7, 102, 9, 102]]), torch.tensor([[0, 0, 0, 0, 0, 1, 1]])
    with torch.no_grad():
        pooled = reference(ids, token_type_ids=sides).last_hidden_state.mean(1)
        assert torch.allclose(ours(ids, sides), ours.out(pooled), atol=1e-4)


def test_a_line_is_read_the_same_alone_and_among_longer_ones() -> None:
    short, long = (Example([101, *range(3, 3 + n), 102], [0] * (n + 2), [1, 0, -1], 0) for n in (4, 11))
    net = network()
    with torch.no_grad():
        alone, crowd = net(*padded([short])), net(*padded([short, long]))
    assert torch.allclose(alone[0], crowd[0], atol=1e-5)


def test_what_is_written_reads_as_before(tmp_path: Path) -> None:
    net, words = network(), tokenizer()
    pair_encoder.save_pair(net.state_dict(), words, PLAIN, Blend(1.0, 0.5, 2.0, (0.9, 0.8, 0.7)), tmp_path / "e.npz")
    model = pair_encoder.load_pair(tmp_path / "e.npz")
    assert model.reply.encoder == 2.0 and model.alone == PLAIN
    ids, sides = pair_ids(words.encode("you are rude").ids, words.encode("we agree").ids)
    with torch.no_grad():
        exact = float(net(torch.tensor([ids]), torch.tensor([sides]))[0, 0])
    assert model.logit("you are rude", "we agree") == pytest.approx(exact, abs=0.05)


def test_a_missing_encoder_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="train-encoder"):
        pair_encoder.load_pair(tmp_path / "none.npz")


def test_long_texts_keep_both_ends_and_the_end_of_what_they_answer() -> None:
    ids, sides = pair_ids(range(1000, 1500), range(2000, 2200))
    assert ids[1] == 1000 and 1499 in ids and 2199 in ids and 2000 not in ids
    assert len(ids) == len(sides) <= pair_encoder.TEXT_TOKENS + pair_encoder.BEFORE_TOKENS + 3


class Loud(PairModel):
    """Counts how often it is asked and is always sure of harm."""

    asked = 0

    def logit(self, text: str, before: str) -> float:
        self.asked += 1
        return 9.0


@pytest.fixture
def loud() -> tuple[Loud, PairEncoderDetector]:
    model = Loud(network(), tokenizer(), Blend(0, 0, 1, (0.95, 0.9, 0.8)), Blend(0, 0, 1, (0.95, 0.9, 0.8)))
    return model, PairEncoderDetector(LinearDetector(shipped_model()), model)


def unsafe(detector: Any, role: Role, text: str, *before: str) -> float:
    other = Role.BOT if role is Role.USER else Role.USER
    passage = Passage(Turn(role, text), conversation(*(Turn(other, line) for line in before)))
    return float(max(f.score for f in detector.find(passage) if f.category == "unsafe"))


def test_the_encoder_is_asked_about_every_reply_but_never_about_korean(loud: tuple[Loud, PairEncoderDetector]) -> None:
    model, detector = loud
    assert unsafe(detector, Role.BOT, "yes, it is", "is it raining?") > 0.99
    assert model.asked == 1
    unsafe(detector, Role.BOT, "네, 비가 와요", "비가 와요?")
    assert model.asked == 1


def test_the_encoder_is_not_asked_where_the_linear_model_is_sure(loud: tuple[Loud, PairEncoderDetector]) -> None:
    model, detector = loud
    linear = LinearDetector(shipped_model())
    for text in ("i am going to bake bread with my sister on sunday", "you are a fucking piece of shit"):
        score = unsafe(linear, Role.USER, text)
        asked = model.asked
        unsafe(detector, Role.USER, text)
        assert (model.asked > asked) == (0.02 <= score <= 0.98)


def test_with_the_encoder_the_linear_detector_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    model = PairModel(network(), tokenizer(), PLAIN, PLAIN)
    monkeypatch.setattr(pair_encoder, "shipped_pair", lambda: model)
    names = [detector.name for detector in discover(policy=shipped_policy(), encoder=True)]
    assert "pair_encoder" in names and "linear" not in names
    assert "linear" in [detector.name for detector in discover(policy=shipped_policy())]


def lines(count: int) -> list[Example]:
    made = []
    for at in range(count):
        words = [3 + (at * step) % 90 for step in range(1, 4 + at % 3)]
        made.append(Example([101, *words, 102], [0] * (len(words) + 2), [at % 2] * 3, 0))
    return made


def run(kept: Path, stop: int = 99) -> Run:
    def on_step(step: int, steps: int, loss: float) -> None:
        if step >= stop:
            raise KeyboardInterrupt

    made = Run(network(3), lines(900), 2, kept)
    made.resume()
    with suppress(KeyboardInterrupt):
        made.go(on_step, every=2)
    return made


def test_a_run_that_was_cut_off_ends_where_a_whole_one_does(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole.pt")
    assert run(tmp_path / "cut.pt", stop=5).step == 5
    again = run(tmp_path / "cut.pt")
    assert again.step == whole.step == whole.steps
    for ours, theirs in zip(again.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)
