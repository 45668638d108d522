from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedModel, aligned_from_llama


def tiny_llama(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        initializer_range=0.3,
    )
    llama: LlamaForCausalLM = LlamaForCausalLM(config).train(False)
    return llama


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llama")
    tiny_llama().save_pretrained(folder)
    return folder


def padded(rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    size = max(map(len, rows))
    ids = torch.tensor([row + [7] * (size - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (size - len(row)) for row in rows])
    return ids, mask


def test_with_a_causal_encoder_it_equals_the_plain_language_model(llama_folder: Path) -> None:
    llama, model = tiny_llama(), aligned_from_llama(llama_folder, "causal").eval()
    contexts, reply = [[5, 9, 3, 22, 41], [8, 2], [60]], torch.tensor([[1, 4, 6, 30], [1, 50, 2, 3], [1, 1, 1, 2]])
    ids, mask = padded(contexts)
    ours = model(ids, mask, reply)
    for row, context in enumerate(contexts):
        theirs = llama(torch.tensor([context + reply[row].tolist()])).logits[0, len(context) :]
        torch.testing.assert_close(ours[row], theirs, atol=2e-5, rtol=1e-4)


def test_a_bidirectional_encoder_lets_early_tokens_see_later_ones(llama_folder: Path) -> None:
    reply, mask = torch.tensor([[1, 4]]), torch.ones(1, 3)
    for kind, alike in (("causal", True), ("bidirectional", False)):
        model = aligned_from_llama(llama_folder, kind).eval()  # type: ignore[arg-type]
        first, second = (model.encode(torch.tensor([ids]), mask.bool())[-1][0, 0] for ids in ([5, 9, 3], [5, 9, 4]))
        assert torch.allclose(first, second) is alike
    assert model(torch.tensor([[5, 9, 3]]), mask, reply).shape == (1, 2, 61)


@pytest.mark.parametrize("kind", ["causal", "bidirectional"])
def test_padding_and_neighbours_change_nothing(llama_folder: Path, kind: str) -> None:
    model = aligned_from_llama(llama_folder, kind).eval()  # type: ignore[arg-type]
    contexts, reply = [[5, 9, 3, 22], [8]], torch.tensor([[1, 4, 6], [1, 50, 2]])
    ids, mask = padded(contexts)
    together = model(ids, mask, reply)
    for row, context in enumerate(contexts):
        alone = model(torch.tensor([context]), torch.ones(1, len(context)), reply[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], atol=2e-5, rtol=1e-4)


def test_recomputation_gives_the_same_gradients(llama_folder: Path) -> None:
    gradients = []
    for recompute in (False, True):
        model = aligned_from_llama(llama_folder, "bidirectional").train()
        model.recompute = recompute
        model(torch.tensor([[5, 9]]), torch.ones(1, 2), torch.tensor([[1, 4]])).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_every_parameter_is_used(llama_folder: Path) -> None:
    model = aligned_from_llama(llama_folder, "bidirectional")
    model(torch.tensor([[5, 9]]), torch.ones(1, 2), torch.tensor([[1, 4]])).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_stacks_do_not_share_memory(llama_folder: Path) -> None:
    model = aligned_from_llama(llama_folder, "causal")
    pointers = [p.data_ptr() for p in model.parameters()]
    assert len(set(pointers)) == len(pointers)
    assert isinstance(model, AlignedModel)


def test_a_folder_without_a_checkpoint_is_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no Llama-like checkpoint"):
        aligned_from_llama(tmp_path, "causal")


@pytest.mark.base_model
def test_the_real_base_with_a_causal_encoder_equals_the_plain_language_model() -> None:
    from dialogue.models.base import base_checkpoint

    try:
        folder = base_checkpoint().folder
    except UserError as error:
        pytest.skip(str(error))
    llama = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    llama.train(False)
    model = aligned_from_llama(folder, "causal").eval()
    context, reply = torch.tensor([[504, 3575, 282, 4649, 314]]), torch.tensor([[1, 7042, 28, 253]])
    with torch.inference_mode():
        theirs = llama(torch.cat((context, reply), dim=1)).logits[:, 5:]
        ours = model(context, torch.ones_like(context), reply)
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=1e-3)
