"""Puts trained weights into a folder that the program loads: small safetensors files, configuration, model card."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.aligned import AlignedModel
from dialogue.training.adapters import adapter_state
from dialogue.training.recipes import Recipe
from dialogue.training.tokens import tokenizer_sha256

LARGEST_FILE = 48_000_000  # bytes; files of weights stay under 50 MB so that a repository takes them
MAX_CONTEXT, MAX_REPLY = 256, 64


def export(
    folder: Path,
    model: AlignedModel,
    recipe: Recipe,
    tokenizer: Tokenizer,
    base_sha256: str,
    card: str,
    record: Mapping[str, Any],
) -> None:
    """Write weights, ``config.json``, ``training.json`` and ``MODEL_CARD.md``; the folder is replaced whole.

    Adapters go beside the base they need; a network trained whole or from scratch goes as ``model.safetensors`` with
    its tokenizer. Raises UserError when the folder cannot be written or holds something else.
    """
    _refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        config = _common(recipe, tokenizer)
        if recipe.method == "adapters":
            config |= _write_adapters(partial, model, recipe, base_sha256)
        else:
            config |= _write_whole(partial, model, tokenizer)
        _write_json(partial / "config.json", config)
        _write_json(partial / "training.json", record)
        (partial / "MODEL_CARD.md").write_text(card, encoding="utf-8")
        for path in (partial, *partial.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    except OSError as error:
        raise UserError(f"The weights cannot be written to {folder}: {error}.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()) and not (folder / "training.json").is_file():
        raise UserError(f"{folder} holds files that are no trained weights; name another folder to export to.")


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _common(recipe: Recipe, tokenizer: Tokenizer) -> dict[str, Any]:
    return {
        "name": "chinwag",
        "format": "turns",
        "encoder": recipe.encoder,
        "languages": ["en"],
        "licence": "Apache-2.0",
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
        "max_context": MAX_CONTEXT,
        "max_reply": MAX_REPLY,
    }


def _write_adapters(folder: Path, model: AlignedModel, recipe: Recipe, base_sha256: str) -> dict[str, Any]:
    from safetensors.torch import save_file

    if recipe.tied:
        raise UserError("A tied network is for comparison only; its adapters cannot be exported.")
    state = {name: compact(name, tensor) for name, tensor in adapter_state(model).items()}
    for stack in ("encoder", "decoder"):
        mine = {name: tensor for name, tensor in state.items() if name.startswith(stack)}
        for number, part in enumerate(split_by_size(mine, LARGEST_FILE)):
            save_file(part, folder / f"adapters-{stack}-{number}.safetensors", metadata={"format": "pt"})
    return {"base": "HuggingFaceTB/SmolLM2-135M-Instruct", "base_sha256": base_sha256, "rank": recipe.adapters.rank}


def compact(name: str, tensor: Tensor) -> Tensor:
    """As it is stored: matrices in bfloat16, gains (which are few) in float32."""
    return tensor.to(torch.float32 if name.endswith("norm.weight") else torch.bfloat16).contiguous().cpu()


def split_by_size(tensors: Mapping[str, Tensor], largest: int) -> list[dict[str, Tensor]]:
    """The tensors in as few parts, in order, as keep each under ``largest`` bytes."""
    parts: list[dict[str, Tensor]] = [{}]
    size = 0
    for name in sorted(tensors):
        bytes_more = tensors[name].numel() * tensors[name].element_size()
        if parts[-1] and size + bytes_more > largest:
            parts.append({})
            size = 0
        parts[-1][name] = tensors[name]
        size += bytes_more
    return parts


def _write_whole(folder: Path, model: AlignedModel, tokenizer: Tokenizer) -> dict[str, Any]:
    from safetensors.torch import save_file

    state = {name: tensor.detach().to(torch.bfloat16).clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    config = model.config
    return {
        "model_type": "chinwag-aligned",
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
    }
