from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.errors import UnknownName
from dialogue.models import linear
from dialogue.models.kernels import choose_kernels, plain_kernels
from dialogue.models.linear import PackedLinear, PlainLinear, fast_dtype, pack, packing_works

ACTIVATIONS = {None: lambda x: x, "relu": F.relu, "gelu": F.gelu, "silu": F.silu}


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    """The decision is made once a process: make it anew inside the test and afterwards."""
    packing_works.cache_clear()
    fast_dtype.cache_clear()
    yield
    packing_works.cache_clear()
    fast_dtype.cache_clear()


def random_layer() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(7, 5), torch.randn(7), torch.randn(2, 3, 5)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_a_product_is_that_of_pytorch_with_its_bias_and_activation(
    activation: str | None, biased: bool, packed: bool
) -> None:
    weight, bias, x = random_layer()
    product = pack(weight, bias if biased else None, dtype=torch.float32, activation=activation, packed=packed)
    wanted = ACTIVATIONS[activation](F.linear(x, weight, bias if biased else None))
    torch.testing.assert_close(product(x), wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("packed", [True, False])
def test_a_product_keeps_its_own_copy_of_the_weight(packed: bool) -> None:
    weight, bias, x = random_layer()
    product = pack(weight, bias, dtype=torch.float32, packed=packed)
    before = product(x).clone()
    weight.zero_()
    bias.zero_()
    torch.testing.assert_close(product(x), before, atol=0, rtol=0)


def missing_operator(*args: object) -> None:
    raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_reorder_linear_weight'")


def wrong_operator(weight: Tensor, rows: int) -> Tensor:
    return weight + 1


@pytest.mark.parametrize("operator", [missing_operator, wrong_operator])
def test_where_the_private_operators_fail_the_plain_path_serves(
    operator: object, fresh_choice: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "_reorder", operator)
    assert not packing_works()
    assert fast_dtype() is torch.float32
    weight, bias, x = random_layer()
    product = pack(weight, bias, dtype=torch.float32)
    assert isinstance(product, PlainLinear)
    torch.testing.assert_close(product(x), F.linear(x, weight, bias))


@pytest.mark.skipif(not packing_works(), reason="this torch lacks oneDNN's operators")
def test_where_they_work_they_are_used() -> None:
    weight, bias, _ = random_layer()
    assert isinstance(pack(weight, bias, dtype=torch.float32), PackedLinear)
    assert isinstance(plain_kernels(torch.float32, packed=False).pack(weight), PlainLinear)


def test_a_dtype_is_chosen_by_name() -> None:
    assert choose_kernels("float32").dtype is torch.float32
    assert choose_kernels("bfloat16").dtype is torch.bfloat16
    assert choose_kernels("auto").dtype is fast_dtype()
    with pytest.raises(UnknownName, match="float32"):
        choose_kernels("float3")
