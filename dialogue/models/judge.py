"""The judge that may go with a network's weights: one vector, and a reply's score is its product with the decoder's
state after the reply's end. Higher is better, and only scores of replies to the same talk can be compared.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from dialogue.errors import UserError

FILE = "judge.safetensors"


def write_judge(folder: Path, weight: Tensor) -> None:
    """Keep the (width,) vector beside the weights."""
    from safetensors.torch import save_file

    save_file({"judge": weight.detach().float().contiguous().cpu()}, folder / FILE, metadata={"format": "pt"})


def read_judge(folder: Path) -> Tensor | None:
    """The (width,) float32 vector of a folder's judge, None where it has none; raises UserError when it is damaged."""
    if not (folder / FILE).is_file():
        return None
    from dialogue.models.checkpoint import read_tensors

    tensors = read_tensors(folder, FILE)
    if "judge" not in tensors or tensors["judge"].ndim != 1:
        raise UserError(f"{folder / FILE} holds no judge; get the checkpoint again.")
    return tensors["judge"].float()
