from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForSeq2SeqLM

from dialogue.decoding.config import Strategy
from dialogue.decoding.search import DecodingRequest, decode
from dialogue.models.bart import BartSeq2Seq
from dialogue.models.chat_model import ChatModel
from dialogue.models.decoder_only import CausalSeq2Seq
from dialogue.models.huggingface import HuggingFaceSeq2Seq
from dialogue.models.loading import load
from dialogue.turns import Conversation, ConversationKey, Persona, Role, Turn
from tests.dialogue.models.tiny_aligned import batch
from tests.dialogue.models.tiny_checkpoints import BOS, EOS, GENERATION, make

ENCODER_DECODERS = (
    "bart", "blenderbot", "blenderbot-small", "mbart", "t5", "mt5", "switch_transformers", "m2m_100",
)  # fmt: skip
NATIVE = ("bart", "blenderbot", "blenderbot-small")
DECODERS = ("gpt2", "llama", "llama-chatml")
FAMILIES = (*ENCODER_DECODERS, *DECODERS)
TOLERANCE = 5e-5


@pytest.fixture(scope="module")
def checkpoint() -> Iterator[Callable[[str], Path]]:
    """Each family's folder, made once."""
    with TemporaryDirectory() as folder:
        yield cache(lambda family: make(family, Path(folder) / family))


Checkpoint = Callable[[str], Path]


def conversation(*texts: str, facts: tuple[str, ...] = ()) -> Conversation:
    roles = (Role.USER, Role.BOT)
    turns = tuple(Turn(roles[i % 2], text) for i, text in enumerate(texts))
    return Conversation(ConversationKey("test", "1"), Persona("Robin", facts=facts), turns)


def oracle(folder: Path, family: str) -> Callable[[list[int], list[int]], Tensor]:
    """The family's own network in transformers: log-probabilities after a context and a reply so far, from scratch."""
    import transformers

    kind = "AutoModelForCausalLM" if family in DECODERS else "AutoModelForSeq2SeqLM"
    model: Any = getattr(transformers, kind).from_pretrained(folder)

    @torch.inference_mode()
    def ask(context: list[int], said: list[int]) -> Tensor:
        if family in DECODERS:
            logits = model(torch.tensor([context + said])).logits
        else:
            logits = model(input_ids=torch.tensor([context]), decoder_input_ids=torch.tensor([said])).logits
        return logits[0, -1].log_softmax(-1)  # type: ignore[no-any-return]

    return ask


@pytest.mark.parametrize("family", FAMILIES)
def test_any_row_beside_any_neighbours_gets_what_transformers_computes_for_it_alone(
    family: str, checkpoint: Checkpoint
) -> None:
    folder = checkpoint(family)
    network, ask = load(str(folder), dtype="float32").seq2seq, oracle(folder, family)
    chance = random.Random(family)
    contexts = [[chance.randrange(4, 60) for _ in range(size)] for size in (7, 3, 11)]
    rows: list[tuple[list[int], list[int]]] = [(context, []) for context in contexts]
    state = network.encode(*batch(contexts))
    for _ in range(5):
        newest = [chance.randrange(4, 60) for _ in rows]
        log_probs, state = network.step(torch.tensor(newest), state)
        rows = [(context, [*said, token]) for (context, said), token in zip(rows, newest, strict=True)]
        wanted = torch.stack([ask(context, said) for context, said in rows])
        torch.testing.assert_close(log_probs, wanted, atol=TOLERANCE, rtol=0)
        parents = [chance.randrange(len(rows)) for _ in range(chance.randrange(1, 7))]
        state = network.reorder(state, torch.tensor(parents))
        rows = [rows[parent] for parent in parents]


@pytest.mark.parametrize("family", NATIVE)
def test_native_rows_that_enter_midway_are_right(family: str, checkpoint: Checkpoint) -> None:
    folder = checkpoint(family)
    network, ask = load(str(folder), dtype="float32").seq2seq, oracle(folder, family)
    assert isinstance(network, BartSeq2Seq)
    first, second = network.encode(*batch([[5, 6, 7, 8]])), network.encode(*batch([[9, 10], [11, 12, 13]]))
    for token in (20, 21):
        _, first = network.step(torch.tensor([token]), first)
    log_probs, _ = network.step(torch.tensor([22, 23, 24]), network.join(first, second))
    wanted = [ask([5, 6, 7, 8], [20, 21, 22]), ask([9, 10], [23]), ask([11, 12, 13], [24])]
    torch.testing.assert_close(log_probs, torch.stack(wanted), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_long_conversation_keeps_the_persona_and_its_newest_words_within_the_budget(
    family: str, checkpoint: Checkpoint
) -> None:
    model = load(str(checkpoint(family)))
    talk = [f"word {i} and some more of it" for i in range(199)]
    ids = model.context_format.encode(conversation(*talk, "goodbye pasta", facts=("I like the sea.",)), 400)
    assert 200 < len(ids) <= 400
    text = model.vocabulary.decode(ids)
    assert "like the sea." in text
    assert "goodbye pasta" in text
    assert "word 3 " not in text


@pytest.mark.parametrize("family", FAMILIES)
def test_one_message_longer_than_the_budget_keeps_its_end(family: str, checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint(family)))
    ids = model.context_format.encode(conversation("a walk by the sea. " * 5000 + "what is your name?"), 64)
    assert 32 < len(ids) <= 64
    assert "your name?" in model.vocabulary.decode(ids)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_looks_like_a_special_token_is_read_as_text(family: str, checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint(family)))
    special = {model.eos_id, model.pad_id} - ({model.vocabulary.encode("\n")[-1]} if family == "llama" else set())
    for text in (
        "</s>",
        "a <pad> b",
        "<|endoftext|>",
        "hi<|im_end|>",
        "__end__ __null__",
        "<s></s></s>",
        "\ud800 lone",
    ):
        assert not special & set(model.vocabulary.encode(text)), text


@pytest.mark.parametrize("family", FAMILIES)
def test_a_conversation_without_turns_can_be_scored(family: str, checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint(family)))
    assert model.context_format.encode(conversation(facts=("I like the sea.",)), 64)


@pytest.mark.parametrize(
    ("family", "kind"),
    [(family, HuggingFaceSeq2Seq) for family in ENCODER_DECODERS if family not in NATIVE]
    + [(family, BartSeq2Seq) for family in NATIVE]
    + [("gpt2", CausalSeq2Seq), ("llama", CausalSeq2Seq)],
)
def test_each_family_is_run_by_its_own_module(family: str, kind: type, checkpoint: Checkpoint) -> None:
    assert isinstance(load(str(checkpoint(family))).seq2seq, kind)


def test_a_checkpoints_generation_settings_become_its_defaults(checkpoint: Checkpoint) -> None:
    defaults = load(str(checkpoint("blenderbot"))).defaults
    assert defaults.strategy is Strategy.BEAM
    assert (defaults.num_beams, defaults.length_penalty, defaults.early_stopping) == (10, 0.65, False)
    assert (defaults.no_repeat_ngram, defaults.no_repeat_context_ngram) == (3, 3)
    assert (defaults.min_length, defaults.max_length) == (20, 59)
    assert defaults.forced_last_id == EOS


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("shortest", [{"min_length": 20}, {"min_new_tokens": 7, "max_new_tokens": 30}])
def test_a_network_that_wants_to_stop_may_stop_where_transformers_lets_it(
    shortest: dict[str, int], tmp_path: Path
) -> None:
    folder = make("blenderbot", tmp_path / "eager")
    weights = load_file(folder / "model.safetensors")
    weights["final_logits_bias"][0, EOS] = 30.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    rest = {key: value for key, value in GENERATION.items() if key != "min_length"}
    (folder / "generation_config.json").write_text(json.dumps(rest | shortest))
    ids, model = [5, 6, 7, 8, EOS], load(str(folder), dtype="float32")
    request = DecodingRequest(id=0, input_ids=ids, config=model.defaults)
    (found,) = decode(model.seq2seq, [request], start_id=model.start_id, eos_id=EOS, pad_id=model.pad_id)
    theirs: Any = AutoModelForSeq2SeqLM.from_pretrained(folder).generate(
        torch.tensor([ids]), decoder_start_token_id=model.start_id, eos_token_id=EOS, pad_token_id=model.pad_id
    )
    assert (model.start_id, *found[0].token_ids) == tuple(theirs[0].tolist())
    assert len(found[0].token_ids) == model.defaults.min_length


@pytest.mark.parametrize(("family", "tokens"), [("mbart", ("en_XX", "ko_KR")), ("m2m_100", ("__en__", "__ko__"))])
def test_translators_read_and_write_the_language_asked_for(
    family: str, tokens: tuple[str, str], checkpoint: Checkpoint
) -> None:
    for language, token in zip(("en", "ko"), tokens, strict=True):
        model: Any = load(str(checkpoint(family)), language=language)
        code = model.vocabulary.token_id(token)
        assert model.defaults.forced_first_id == code
        assert model.context_format.encode(conversation("hi"), 20)[0] == code
        assert model.languages == {language}


def ids_of(model: ChatModel, *texts: str) -> list[list[int]]:
    return [model.vocabulary.encode(text) for text in texts]


def test_blenderbot_reads_persona_lines_and_turns_between_double_spaces(checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint("blenderbot")))
    ids = model.context_format.encode(conversation("hi", "hello", "why?", facts=("I cook.", "I walk.")), 60)
    assert ids[-1] == EOS
    assert model.vocabulary.decode(ids) == (" your persona: I cook.\n your persona: I walk.\n hi  hello  why?")


def test_the_small_blenderbot_reads_turns_on_lines_of_their_own(checkpoint: Checkpoint) -> None:
    model: Any = load(str(checkpoint("blenderbot-small")))
    ids = model.context_format.encode(conversation("hi", "you", "hi you", facts=("hi",)), 60)
    line = model.vocabulary.token_id("__newln__")
    persona, hi, you = ids_of(model, "your persona: hi", "hi", "you")
    assert ids == [*persona, line, *hi, line, *you, line, *hi, *you]
    assert model.start_id == BOS


def test_dialogpt_ends_every_turn_with_end_of_text(checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint("gpt2")))
    first, second, third = ids_of(model, "hi", "hello", "why?")
    assert model.context_format.encode(conversation("hi", "hello", "why?"), 60) == [*first, 0, *second, 0, *third]
    assert model.start_id == model.eos_id == 0


def test_bart_frames_turns_with_its_own_marks(checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint("bart")))
    first, second = ids_of(model, "hi", "hello")
    assert model.context_format.encode(conversation("hi", "hello"), 60) == [BOS, *first, EOS, *second, EOS]


def test_t5_is_told_who_speaks(checkpoint: Checkpoint) -> None:
    model = load(str(checkpoint("t5")))
    ids = model.context_format.encode(conversation("hello", "you", "why"), 60)
    assert model.vocabulary.decode(ids) == "User: hello Bot: you User: why Bot:"
    assert ids[-1] == EOS
