"""Turns a Llama-shaped GGUF file into an ordinary checkpoint folder: weights, configuration, tokenizer.

It neither looks for files nor decides where they go; :mod:`dialogue.models.base` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dialogue.errors import UserError

if TYPE_CHECKING:
    from gguf import GGUFReader
    from torch import Tensor

CONTROL_TOKEN = 3  # gguf.TokenType.CONTROL

LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


def convert_gguf(source: Path, folder: Path) -> None:
    """Write ``model.safetensors`` (bfloat16), ``config.json``, ``tokenizer.json`` and ``tokenizer_config.json``.

    Raises UserError when the file is no Llama-shaped GGUF with a byte-level BPE vocabulary and tied embeddings.
    """
    from gguf import GGUFReader
    from safetensors.torch import save_file

    reader = GGUFReader(str(source))
    if _value(reader, "general.architecture") != "llama" or _value(reader, "tokenizer.ggml.pre") != "smollm":
        raise UserError(f"{source.name} is not a SmolLM2 model in GGUF form; reinstall the package it came from.")
    config = _config(reader)
    save_file(dict(_weights(reader, config)), folder / "model.safetensors", metadata={"format": "pt"})
    _write_json(folder / "config.json", config)
    _write_json(folder / "tokenizer.json", _tokenizer(reader))
    _write_json(folder / "tokenizer_config.json", _tokenizer_config(reader))


def _value(reader: GGUFReader, key: str) -> Any:
    field = reader.fields.get(key)
    return None if field is None else field.contents()


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _config(reader: GGUFReader) -> dict[str, Any]:
    """transformers' LlamaConfig, as JSON."""
    width, heads = _value(reader, "llama.embedding_length"), _value(reader, "llama.attention.head_count")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": _value(reader, "llama.feed_forward_length"),
        "num_hidden_layers": _value(reader, "llama.block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": _value(reader, "llama.attention.head_count_kv"),
        "head_dim": width // heads,
        "rms_norm_eps": round(float(_value(reader, "llama.attention.layer_norm_rms_epsilon")), 10),
        "rope_theta": float(_value(reader, "llama.rope.freq_base")),
        "rope_parameters": {"rope_type": "default", "rope_theta": float(_value(reader, "llama.rope.freq_base"))},
        "max_position_embeddings": _value(reader, "llama.context_length"),
        "vocab_size": _value(reader, "llama.vocab_size"),
        "bos_token_id": _value(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _value(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _value(reader, "tokenizer.ggml.padding_token_id"),
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }


def _weights(reader: GGUFReader, config: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    import torch
    from gguf.quants import dequantize

    for tensor in reader.tensors:
        values = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        name = _name(tensor.name)
        if name.endswith("q_proj.weight"):
            values = _unpermuted(values, config["num_attention_heads"])
        elif name.endswith("k_proj.weight"):
            values = _unpermuted(values, config["num_key_value_heads"])
        yield name, values.to(torch.bfloat16).contiguous()


def _name(gguf_name: str) -> str:
    """'blk.3.attn_q.weight' -> 'model.layers.3.self_attn.q_proj.weight'."""
    if gguf_name in OTHER_NAMES:
        return OTHER_NAMES[gguf_name]
    prefix, layer, part, kind = gguf_name.split(".")
    if prefix != "blk" or part not in LAYER_NAMES:
        raise UserError(f"The GGUF file holds a tensor that no plain Llama has: {gguf_name}.")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"


def _unpermuted(weight: Tensor, heads: int) -> Tensor:
    """GGUF interleaves the two halves of each head's rotary dimensions; transformers keeps them apart."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _tokenizer(reader: GGUFReader) -> dict[str, Any]:
    """The tokenizer as the ``tokenizers`` library stores it: digits one by one, then GPT-2's byte-level BPE."""
    tokens: list[str] = _value(reader, "tokenizer.ggml.tokens")
    kinds: list[int] = _value(reader, "tokenizer.ggml.token_type")
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, tokens[i]) for i, kind in enumerate(kinds) if kind == CONTROL_TOKEN],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: i for i, token in enumerate(tokens)},
            "merges": _value(reader, "tokenizer.ggml.merges"),
        },
    }


def _added(token_id: int, content: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token_id, "content": content, **flags}


def _tokenizer_config(reader: GGUFReader) -> dict[str, Any]:
    tokens: list[str] = _value(reader, "tokenizer.ggml.tokens")
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokens[_value(reader, "tokenizer.ggml.bos_token_id")],
        "eos_token": tokens[_value(reader, "tokenizer.ggml.eos_token_id")],
        "pad_token": tokens[_value(reader, "tokenizer.ggml.padding_token_id")],
        "chat_template": _value(reader, "tokenizer.chat_template"),
        "model_max_length": _value(reader, "llama.context_length"),
    }
