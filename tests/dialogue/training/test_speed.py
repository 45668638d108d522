from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dialogue.models.aligned import AlignedConfig, AlignedModel, attend
from dialogue.training.adapters import AdapterConfig, attach
from dialogue.training.data import Filtering
from dialogue.training.examples import Batch
from dialogue.training.network import ReplyLoss, compile_blocks, from_scratch
from dialogue.training.run import Places, measure_speed
from dialogue.training.speed import Speed, operations
from tests.dialogue.training.tiny import tiny

BATCH = Batch(
    torch.randint(3, 50, (4, 8)), torch.ones(4, 8, dtype=torch.bool), torch.randint(3, 50, (4, 6)),
    torch.randint(3, 50, (4, 6)), torch.ones(4, 6),
)  # fmt: skip


def test_the_operations_of_a_linear_map_are_counted_forward_and_backward() -> None:
    weight = nn.Parameter(torch.randn(50, 16))
    x = torch.randn(32, 16)

    def loss_of(batch: Batch) -> tuple[Tensor, Tensor]:
        return (x @ weight.T).sum(), torch.tensor(1.0)

    assert operations(loss_of, BATCH) == 2 * (2 * 32 * 50 * 16)  # no derivative by x, which nobody trains


def test_a_network_costs_about_six_operations_a_parameter_and_token() -> None:
    config = AlignedConfig(50, 64, 176, 3, 2, 2, 32)
    model = from_scratch(config, 0)
    states = 32 * 2 + 24 * 3  # encoder and decoder positions times their layers
    block = sum(p.numel() for p in model.decoder.layers[0].parameters() if p.ndim > 1)
    least = 6 * (states * block + 24 * 50 * 64)
    counted = operations(ReplyLoss(model), BATCH)
    assert least < counted < 1.5 * least  # keys and values of what the decoder reads, and attention, come on top


def test_attention_on_an_accelerator_is_that_of_the_processor() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, 5, 8), torch.randn(2, 3, 9, 8), torch.randn(2, 3, 9, 8)
    mask = torch.rand(2, 1, 5, 9) > 0.4
    mask[..., 0] = True
    fused = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # what attend() calls there
    torch.testing.assert_close(attend(query, key, value, mask), fused, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # torch's own tracing asks
def test_all_layers_and_lengths_share_a_few_compiled_forms() -> None:
    forms: list[int] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> Callable[..., Any]:
        forms.append(len(inputs))
        return graph.forward

    model = AlignedModel(AlignedConfig(60, 32, 48, 5, 4, 2, 8)).bfloat16()
    attach(model, AdapterConfig(4, 4.0))
    plain = ReplyLoss(model)(BATCH)[0]
    torch._dynamo.reset()
    compile_blocks(model.train(), backend)
    for rows, read, said in ((4, 20, 12), (5, 31, 12), (7, 40, 9), (3, 18, 16)):
        ids = torch.randint(3, 60, (rows, read))
        reply = torch.randint(3, 60, (rows, said))
        batch = Batch(ids, torch.ones_like(ids, dtype=torch.bool), reply, reply, torch.ones(rows, said))
        total, weights = ReplyLoss(model)(batch)
        (total / weights).backward()  # type: ignore[no-untyped-call]
    assert len(forms) <= 6  # nine blocks and four lengths: each for itself would be 36
    torch.testing.assert_close(ReplyLoss(model)(BATCH)[0], plain, rtol=0.02, atol=0.02)
    torch._dynamo.reset()


def test_the_speed_of_a_run_is_measured_and_nothing_of_it_kept(
    places: Places, no_filter: Filtering, tmp_path: Path
) -> None:
    speed = measure_speed(tiny(compile=True), places, no_filter, False, 2, lambda line: None)
    assert speed.operations > 1e6
    assert 0 < speed.share < 1.5
    assert "tokens/s" in str(speed)
    assert [path.name for path in places.folder.iterdir()] == ["profile.txt"]
    assert "aten::" in (places.folder / "profile.txt").read_text()


def test_a_known_chip_is_measured_against_its_datasheet() -> None:
    speed = Speed(operations=4e14, seconds=1.0, tokens=1000, ceiling=8e14, peak=0.0, memory=0)
    assert speed.share == pytest.approx(0.5)
    assert "large product" in str(speed)
    known = replace(speed, peak=1e15)
    assert known.share == pytest.approx(0.4)
    assert "40.0% of the chip's bf16 peak" in str(known)
