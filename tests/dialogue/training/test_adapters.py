from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.adapters import check_belongs, merged_state
from dialogue.models.aligned import AlignedModel, aligned_from_llama, load_llama
from dialogue.models.base import NAME
from dialogue.training import network
from dialogue.training.adapters import AdapterConfig, adapter_state, load_adapter_state
from dialogue.training.network import tie_stacks, trained_parameters, with_adapters

INPUTS = (torch.tensor([[5, 9, 3, 22]]), torch.ones(1, 4), torch.tensor([[1, 4, 6]]))
RANKS = AdapterConfig(rank=4, alpha=8.0)


@pytest.fixture
def base(base_cache: Path) -> Path:
    return base_cache / "models" / NAME


def shaken(model: AlignedModel) -> AlignedModel:
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in trained_parameters(model).values():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def wide(model: AlignedModel) -> AlignedModel:
    return model.to(torch.float32)


def test_fresh_adapters_change_nothing(base: Path) -> None:
    fresh = wide(with_adapters(base, "bidirectional", RANKS))
    torch.testing.assert_close(fresh(*INPUTS), aligned_from_llama(base, "bidirectional")(*INPUTS))


def test_merged_weights_say_what_the_adapters_said(base: Path) -> None:
    model = wide(shaken(with_adapters(base, "bidirectional", RANKS)))
    config, state = load_llama(base, "bidirectional")
    merged = merged_state({name: tensor.float() for name, tensor in state.items()}, adapter_state(model))
    plain = AlignedModel(config)
    plain.load_state_dict(merged)
    torch.testing.assert_close(plain(*INPUTS), model(*INPUTS), atol=1e-4, rtol=1e-4)


def test_the_stacks_share_the_base_and_have_adapters_of_their_own(base: Path) -> None:
    model = with_adapters(base, "bidirectional", RANKS)
    weights = dict(model.named_parameters())
    name = "layers.0.self_attn.q_proj"
    assert weights[f"encoder.{name}.weight"].data_ptr() == weights[f"decoder.{name}.weight"].data_ptr()
    assert weights[f"encoder.{name}.down"].data_ptr() != weights[f"decoder.{name}.down"].data_ptr()
    assert not any(p.requires_grad for n, p in weights.items() if n.endswith("proj.weight") or n == "embed.weight")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_gains_of_the_stacks_are_their_own_whatever_the_base_is_kept_in(
    base: Path, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float32 they once were one tensor, so that training one stack's gains changed the other's."""
    monkeypatch.setattr(network, "computing_dtype", lambda: dtype)
    model = with_adapters(base, "bidirectional", RANKS)
    assert model.embed.weight.dtype == dtype
    gains = [p for name, p in trained_parameters(model).items() if name.endswith("norm.weight")]
    assert gains and len({gain.data_ptr() for gain in gains}) == len(gains)


def test_only_the_chosen_matrices_get_adapters(base: Path) -> None:
    chosen = AdapterConfig(rank=2, alpha=2.0, matrices=("q_proj",), norms=False)
    assert {name.split(".")[-2] for name in trained_parameters(with_adapters(base, "causal", chosen))} == {"q_proj"}


def test_adapters_come_back_from_their_saved_form(base: Path) -> None:
    first = shaken(with_adapters(base, "bidirectional", RANKS))
    second = with_adapters(base, "bidirectional", RANKS)
    load_adapter_state(second, adapter_state(first))
    for name, parameter in trained_parameters(second).items():
        torch.testing.assert_close(parameter, trained_parameters(first)[name])


def test_adapters_of_another_shape_are_refused() -> None:
    base = {"a.weight": torch.zeros(4, 6)}
    good = {"a.down": torch.zeros(2, 6), "a.up": torch.zeros(4, 2)}
    check_belongs(base, good)
    wrong: list[dict[str, Tensor]] = [
        {**good, "a.up": torch.zeros(5, 2)},
        {"a.down": good["a.down"]},
        {"a.up": good["a.up"]},
        {"b.weight": torch.zeros(1)},
        {"a.weight": torch.zeros(4, 5)},
    ]
    for adapters in wrong:
        with pytest.raises(UserError, match="another base model"):
            check_belongs(base, adapters)


def test_tied_stacks_with_a_causal_encoder_are_a_decoder_only_model(base: Path) -> None:
    model = wide(shaken(with_adapters(base, "causal", RANKS)))
    tie_stacks(model)
    context, mask, reply = INPUTS
    both = torch.cat((context, reply), dim=1)
    whole = model(both[:, :1], torch.ones(1, 1), both[:, 1:])
    torch.testing.assert_close(model(context, mask, reply), whole[:, 3:], atol=1e-4, rtol=1e-4)
