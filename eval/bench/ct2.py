"""BlenderBot checkpoints for CTranslate2, an optional peer: its BART loader with the two families' differences.

BlenderbotSmall normalises a decoder embedding before the position is added, CTranslate2 after: replies differ, the work
does not.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from ctranslate2 import Translator
from ctranslate2.converters.converter import Converter
from ctranslate2.converters.transformers import BartLoader
from ctranslate2.specs import common_spec, transformer_spec
from transformers import AutoModelForSeq2SeqLM
from transformers.utils.logging import disable_progress_bar


class _Loader(BartLoader):  # type: ignore[misc]
    def get_model_spec(self, model: Any) -> Any:
        config, pre_norm = model.config, model.config.model_type == "blenderbot"
        spec = transformer_spec.TransformerSpec.from_config(
            (config.encoder_layers, config.decoder_layers),
            config.encoder_attention_heads,
            pre_norm=pre_norm,
            activation=common_spec.Activation.GELU,
            layernorm_embedding=not pre_norm,
        )
        self.set_encoder(spec.encoder, model.model.encoder)
        self.set_decoder(spec.decoder, model.model.decoder)
        self.set_linear(spec.decoder.projection, model.lm_head)
        return spec


class _Converter(Converter):  # type: ignore[misc]
    """A checkpoint whose tokens are called t0, t1, …"""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _load(self) -> Any:
        disable_progress_bar()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            model = AutoModelForSeq2SeqLM.from_pretrained(self._folder, dtype=torch.float32)
            loader = _Loader()
            spec = loader.get_model_spec(model)
        config = model.config
        tokens = [f"t{token}" for token in range(config.vocab_size)]
        spec.config.bos_token = tokens[config.bos_token_id]
        spec.config.eos_token = tokens[config.eos_token_id]
        spec.config.unk_token = tokens[3]
        spec.config.decoder_start_token = tokens[config.decoder_start_token_id]
        loader.set_vocabulary(spec, tokens)
        return spec


def open_translator(folder: Path, dtype: str) -> Translator:
    """A translator for the checkpoint in "fp32" or "int8", with as many threads as torch has."""
    with tempfile.TemporaryDirectory() as place:
        _Converter(folder).convert(place, quantization="int8" if dtype == "int8" else None, force=True)
        kind = "int8" if dtype == "int8" else "float32"
        return Translator(
            place, device="cpu", compute_type=kind, inter_threads=1, intra_threads=torch.get_num_threads()
        )
