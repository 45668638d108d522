"""The judge that may go with a network's weights: it scores a whole reply in its talk, higher for better ones.

It is the decoder itself, reading the reply once more with low-rank corrections of some of its matrices (Hu et al.
2021): the score is the product of a vector with the state after the reply's end. What the network says stays as it is,
for the corrections hold only while judging. Only scores of replies to the same talk can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.linear import Linear

FILE = "judge.safetensors"
VECTOR = "judge"
CORRECTED = ("q_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""What may be corrected: keys and values stay, so that one reading of a context serves saying and judging."""


@dataclass(frozen=True, slots=True)
class Judge:
    """``vector`` (width,), and corrections by name: ``decoder.layers.3.mlp.up_proj.down`` (rank, inputs) and
    ``….up`` (outputs, rank), to be added to the matrix as ``up @ down``.
    """

    vector: Tensor
    corrections: Mapping[str, Tensor]


def write_judge(folder: Path, judge: Judge) -> None:
    """Keep a judge beside the weights, matrices in bfloat16; whole or not at all."""
    from safetensors.torch import save_file

    kept = {name: tensor.detach().to(torch.bfloat16).contiguous().cpu() for name, tensor in judge.corrections.items()}
    kept[VECTOR] = judge.vector.detach().float().contiguous().cpu()
    partial = folder / f".{FILE}.new"
    save_file(kept, partial, metadata={"format": "pt"})
    partial.chmod(0o644)  # as an export's other files
    partial.replace(folder / FILE)


def read_judge(folder: Path) -> Judge | None:
    """The judge in a folder of weights, None where there is none. Raises UserError when it is damaged."""
    if not (folder / FILE).is_file():
        return None
    from dialogue.models.checkpoint import read_tensors

    tensors = dict(read_tensors(folder, FILE))
    vector = tensors.pop(VECTOR, None)
    if vector is None or vector.ndim != 1:
        raise UserError(f"{folder / FILE} holds no judge; get the checkpoint again.")
    return Judge(vector.to(torch.float32, copy=True), tensors)


def check_fits(judge: Judge, shapes: Mapping[str, tuple[int, int]], layers: int) -> None:
    """Raise UserError unless the corrections are pairs for decoder blocks that there are; ``shapes`` are those of a
    block's matrices, (outputs, inputs) by name, and a block has corrections of all or of none.
    """
    blocks = {name.rsplit(".", 3)[0] for name in judge.corrections}
    wanted = {f"{block}.{name}.{half}" for block in blocks for name in shapes for half in ("down", "up")}
    if not blocks <= {f"decoder.layers.{i}" for i in range(layers)} or wanted != set(judge.corrections):
        raise UserError("The judge belongs to another network; get the weights again.")
    for block in blocks:
        for name, (outputs, inputs) in shapes.items():
            down, up = (judge.corrections[f"{block}.{name}.{half}"] for half in ("down", "up"))
            if down.ndim != 2 or down.shape[1] != inputs or up.shape != (outputs, len(down)):
                raise UserError(f"The judge belongs to another network: {block}.{name} does not fit.")


class Corrected:
    """A product with a low-rank correction beside it: ``product(x) + up @ (down @ x)``, (…, I) -> (…, O)."""

    def __init__(self, product: Linear, down: Tensor, up: Tensor, dtype: torch.dtype) -> None:
        """(R, I) ``down`` and (O, R) ``up``; ``dtype`` is what the product takes and gives."""
        self._product, self._down, self._up = product, down.to(dtype), up.to(dtype)

    def __call__(self, x: Tensor) -> Tensor:
        """(…, I) -> (…, O)."""
        return self._product(x) + F.linear(F.linear(x, self._down), self._up)
