"""Small random networks of our own family, and their training form as an oracle for the search form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dialogue.models.aligned import AlignedConfig, AlignedModel, EncoderKind
from dialogue.models.aligned_decoding import AlignedSeq2Seq
from dialogue.models.kernels import plain_kernels

VOCABULARY = 61


def tiny_model(encoder: EncoderKind, seed: int = 0) -> AlignedModel:
    """A network of four layers with weights large enough that every token and position matters."""
    torch.manual_seed(seed)
    config = AlignedConfig(VOCABULARY, 24, 40, 4, 6, 2, 4, rope_theta=100.0, encoder=encoder)
    model = AlignedModel(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def search_form(model: AlignedModel, dtype: torch.dtype = torch.float32, *, packed: bool = True) -> AlignedSeq2Seq:
    """The same network behind the search protocol."""
    return AlignedSeq2Seq(model.config, model.state_dict(), plain_kernels(dtype, packed=packed))


def batch(contexts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Right-padded ids and mask."""
    size = max(map(len, contexts))
    ids = torch.tensor([[*context, *[0] * (size - len(context))] for context in contexts])
    mask = torch.tensor([[1] * len(context) + [0] * (size - len(context)) for context in contexts])
    return ids, mask


@torch.inference_mode()
def expected(model: AlignedModel, context: Sequence[int], said: Sequence[int]) -> Tensor:
    """(V,) log-probabilities after ``said``, computed from scratch by the training form."""
    ids, mask = batch([context])
    logits: Tensor = model(ids, mask, torch.tensor([list(said)]))
    return logits[0, -1].log_softmax(-1)
