"""Any ``AutoModelForSeq2SeqLM`` of transformers behind the Seq2Seq protocol, and vocabularies that need Python code.

The general path: correct for every family, fast for none. Our own networks and BART's relatives have faster ones
(aligned_decoding.py, bart.py). No code from a checkpoint is ever run.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue.errors import UserError
from dialogue.models.chat_model import ChatModel
from dialogue.models.checkpoint import fingerprint, read_config, weight_files
from dialogue.models.families import TokenVocabulary, positions, read_settings, seq2seq_reading
from dialogue.models.kernels import torch_dtype
from dialogue.models.vocabulary import SpecialTokens, TokenizerVocabulary, sound

DAMAGE = (OSError, ValueError, KeyError, RuntimeError, TypeError, EOFError, pickle.UnpicklingError)
"""What transformers and torch raise over files that are damaged or meant for something else."""

TOKENIZER_FILES = ("vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model")


@dataclass(slots=True)
class HuggingFaceState:
    """N rows: the encoder's states (N, S, width), their mask (N, S), and transformers' cache of keys and values."""

    encoded: Tensor
    mask: Tensor
    cache: Any


class HuggingFaceSeq2Seq:
    """The Seq2Seq protocol over an encoder–decoder of transformers."""

    def __init__(self, model: Any) -> None:
        self._model = model.eval()
        self._encoder_output: Any = None
        self.vocab_size = int(model.config.get_text_config(decoder=True).vocab_size)

    @torch.inference_mode()
    def encode(self, input_ids: Tensor, attention_mask: Tensor) -> HuggingFaceState:
        """(B, S) ids and mask, right-padded -> the state of B rows."""
        from transformers import DynamicCache, EncoderDecoderCache

        encoder = self._model.get_encoder()
        encoded = encoder(input_ids=input_ids, attention_mask=attention_mask, return_dict=True)
        self._encoder_output = type(encoded)  # families differ in the kind of output that their decoders expect back
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        return HuggingFaceState(encoded.last_hidden_state, attention_mask, cache)

    @torch.inference_mode()
    def step(self, last_ids: Tensor, state: HuggingFaceState) -> tuple[Tensor, HuggingFaceState]:
        """(N,) newest ids -> (N, V) float32 log-probabilities of the next token, and the state after them."""
        out = self._model(
            encoder_outputs=self._encoder_output(last_hidden_state=state.encoded),
            attention_mask=state.mask,
            decoder_input_ids=last_ids[:, None],
            past_key_values=state.cache,
            use_cache=True,
        )
        state.cache = out.past_key_values
        return out.logits[:, -1].float().log_softmax(-1), state

    @torch.inference_mode()
    def reorder(self, state: HuggingFaceState, rows: Tensor) -> HuggingFaceState:
        """(M,) old row indices -> the state whose row m continues old row rows[m]."""
        state.cache.reorder_cache(rows)
        return HuggingFaceState(state.encoded[rows], state.mask[rows], state.cache)


class PythonVocabulary:
    """A tokenizer that exists only as transformers' Python code, behind the Vocabulary protocol."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._special = SpecialTokens(tokenizer.all_special_tokens)

    def encode(self, text: str) -> list[int]:
        """Token ids of plain text; text that looks like a special token is read as plain text."""
        pieces = self._special.cut(sound(text))
        tokens = [token for piece in pieces for token in self._tokenizer.tokenize(piece, split_special_tokens=True)]
        return [int(i) for i in self._tokenizer.convert_tokens_to_ids(tokens)]

    def decode(self, ids: Sequence[int]) -> str:
        """Plain text, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=True))

    def token_id(self, token: str) -> int | None:
        """The id of one exact token, or None where there is no such token."""
        found = self._tokenizer.convert_tokens_to_ids(token)
        return None if found is None or found == self._tokenizer.unk_token_id else int(found)


def load_vocabulary(folder: Path) -> TokenVocabulary:
    """The checkpoint's tokenizer: its ``tokenizer.json`` directly, else through transformers.

    Raises UserError where there is none that can be read.
    """
    if (folder / "tokenizer.json").is_file():
        return TokenizerVocabulary.from_file(folder / "tokenizer.json")
    if not any((folder / name).is_file() for name in TOKENIZER_FILES):  # transformers would make an empty one
        raise UserError(f"{folder} has no tokenizer; copy its tokenizer.json there.")
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError, TypeError) as error:
        raise UserError(f"The tokenizer in {folder} cannot be read ({_line(error)}).") from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return PythonVocabulary(tokenizer) if backend is None else TokenizerVocabulary(backend)


def load_huggingface(folder: Path, name: str, dtype: str = "auto", language: str = "en") -> ChatModel:
    """Any checkpoint folder that transformers knows, as a model ready to chat; raises UserError for what cannot be."""
    raw = read_config(folder)
    if not raw.get("is_encoder_decoder") and not _is_encoder_decoder(folder):
        from dialogue.models.decoder_only import load_decoder_only

        return load_decoder_only(folder, name, dtype)
    model = open_network(folder, "AutoModelForSeq2SeqLM", dtype)
    settings = read_settings(folder, _plain(model.config.to_dict()))
    vocabulary = load_vocabulary(folder)
    reading = seq2seq_reading(vocabulary, settings, language)
    return ChatModel(
        name=name,
        seq2seq=HuggingFaceSeq2Seq(model),
        vocabulary=vocabulary,
        context_format=reading.context_format,
        start_id=reading.start_id,
        eos_id=reading.eos_id,
        pad_id=reading.pad_id,
        max_context=min(positions(settings), 512),
        max_reply=min(positions(settings), reading.defaults.max_length),
        defaults=reading.defaults,
        languages=reading.languages,
        fingerprint=fingerprint(folder, dtype),
    )


def _is_encoder_decoder(folder: Path) -> bool:
    """What the family's configuration class says where the file is silent."""
    from transformers import AutoConfig

    try:
        return bool(
            AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False).is_encoder_decoder
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder} holds no model that can be run here: {_line(error)}") from error


def open_network(folder: Path, auto_class: str, dtype: str) -> Any:
    """The network in ``folder``, every weight present; raises UserError when any is damaged or missing."""
    import transformers
    from safetensors import SafetensorError

    weight_files(folder)
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model, info = getattr(transformers, auto_class).from_pretrained(
            folder,
            dtype=torch_dtype(dtype),
            local_files_only=True,
            trust_remote_code=False,
            weights_only=True,
            output_loading_info=True,
        )
    except (*DAMAGE, SafetensorError) as error:
        raise UserError(f"{folder} holds no model that can be run here: {_line(error)}") from error
    lacking = sorted(info["missing_keys"]) + sorted(str(key) for key in info.get("mismatched_keys", ()))
    if lacking:
        raise UserError(
            f"The weights in {folder} are incomplete: {lacking[0]} and {len(lacking) - 1} more are missing."
        )
    return model


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """A configuration without its empty values."""
    return {key: value for key, value in settings.items() if value is not None}


def _line(error: BaseException) -> str:
    """The first line of an error, which is the part for people."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
