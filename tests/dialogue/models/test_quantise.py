from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from dialogue.models import quantise
from dialogue.models.kernels import choose_kernels
from dialogue.models.linear import PLAIN_ACTIVATIONS, Int8Product, int8_works
from dialogue.models.quantise import CANDIDATES, Int8Linear, PlainInt8Product, ScreenedHead, quantised, row_codes
from tests.dialogue.models.tiny_aligned import batch, search_form, tiny_model

Products = Callable[..., Int8Product | PlainInt8Product]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_a_code_is_never_further_from_its_value_than_half_a_step(
    rows: int, size: int, spread: float, seed: int
) -> None:
    values = torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * spread
    codes, scales = quantised(values)
    assert float((codes.float() * scales[:, None] - values).abs().div(scales[:, None]).max()) <= 0.501
    unsigned, row_scales = row_codes(values)
    restored = (unsigned.float() - 128) * row_scales
    assert float((restored - values).abs().div(row_scales).max()) <= 0.501


def test_a_row_of_zeros_stays_zero() -> None:
    product = Int8Linear(torch.randn(3, 4), None, None)
    assert not product(torch.zeros(2, 4)).any()


@pytest.mark.skipif(not int8_works(), reason="this torch or processor lacks exact int8 products")
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 12), st.integers(1, 40), st.integers(1, 70), st.integers(0, 99))
def test_the_fast_product_is_the_plain_one_exactly(rows: int, outputs: int, inputs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-127, 128, (outputs, inputs), generator=generator).to(torch.int8)
    codes = torch.randint(1, 256, (rows, inputs), generator=generator).to(torch.uint8)
    scales = torch.rand(outputs, generator=generator)
    torch.testing.assert_close(Int8Product(weight, scales)(codes), PlainInt8Product(weight, scales)(codes))


@pytest.mark.parametrize("activation", [None, "relu", "gelu", "silu"])
@pytest.mark.parametrize("fast", [True, False])
def test_an_int8_product_is_near_the_wide_one(
    activation: str | None, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not fast:
        monkeypatch.setattr(quantise, "int8_works", lambda: False)
    torch.manual_seed(0)
    weight, bias, x = torch.randn(40, 64), torch.randn(40), torch.randn(2, 3, 64)
    wanted = PLAIN_ACTIVATIONS[activation](F.linear(x, weight, bias))
    found = Int8Linear(weight, bias, activation)(x)
    assert found.shape == wanted.shape
    assert float((found - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


def test_a_rows_rounding_does_not_depend_on_its_neighbours() -> None:
    torch.manual_seed(0)
    product, x = Int8Linear(torch.randn(24, 64), None, None), torch.randn(5, 64)
    x[1] *= 1000
    torch.testing.assert_close(product(x)[3], product(x[3:4])[0], atol=1e-5, rtol=1e-5)


def test_a_network_in_int8_stays_near_itself_in_float32() -> None:
    from dialogue.models.aligned_decoding import AlignedSeq2Seq

    model = tiny_model("bidirectional")
    narrow, wide = AlignedSeq2Seq(model.config, model.state_dict(), choose_kernels("int8")), search_form(model)
    ids, mask = batch([[1, 2, 3, 4], [9, 8]])
    one, _ = narrow.step(torch.tensor([5, 6]), narrow.encode(ids, mask))
    other, _ = wide.step(torch.tensor([5, 6]), wide.encode(ids, mask))
    assert one.dtype is torch.float32
    assert 0 < float((one.exp() - other.exp()).abs().max()) < 0.05


def test_the_best_words_are_rated_by_the_weights_as_they_were() -> None:
    torch.manual_seed(0)
    weight, bias, x = torch.randn(400, 64), torch.randn(400), torch.randn(3, 64)
    wanted, found = F.linear(x, weight, bias), ScreenedHead(lambda: weight, bias)(x)
    best = wanted.topk(CANDIDATES // 2).indices
    torch.testing.assert_close(found.gather(1, best), wanted.gather(1, best), atol=1e-4, rtol=1e-5)
    assert not torch.allclose(found, wanted, atol=1e-4)
