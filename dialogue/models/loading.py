"""A name, a folder or a hub id in; a model ready to chat out. Chooses the network, the format and the defaults.

The one place that knows which checkpoint family is run by which module. The fast path (our own models) imports
neither transformers nor the hub's client.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from dialogue.decoding.config import DecodingConfig
from dialogue.errors import UnknownName, UserError
from dialogue.models.adapters import check_belongs, merged_weight
from dialogue.models.aligned import AlignedConfig, EncoderKind, aligned_names
from dialogue.models.aligned_decoding import AlignedSeq2Seq
from dialogue.models.base import BaseCheckpoint, base_checkpoint, file_sha256
from dialogue.models.catalogue import CATALOGUE, Source, default_name, trained_folder
from dialogue.models.chat_model import ChatModel
from dialogue.models.checkpoint import fingerprint, read_config, read_tensors
from dialogue.models.formats import ChatMLFormat, TurnsFormat
from dialogue.models.judge import FILE as JUDGE_FILE
from dialogue.models.judge import Judge, read_judge
from dialogue.models.kernels import DTYPES, choose_kernels
from dialogue.models.vocabulary import TokenizerVocabulary

NATIVE_FAMILIES = frozenset({"bart", "blenderbot", "blenderbot-small"})
TRAINED_FAMILY = "chinwag-aligned"
ADAPTER_FILES = "adapters*.safetensors"
MAX_CONTEXT, MAX_REPLY = 512, 64
CHAT_DEFAULTS = DecodingConfig(no_repeat_ngram=3, no_repeat_context_ngram=3)

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def load(
    name: str | None = None,
    *,
    cache: Path | None = None,
    dtype: str = "auto",
    language: str = "en",
    on_progress: Callable[[str], None] = lambda line: None,
) -> ChatModel:
    """The model called ``name`` (see dialogue/models/catalogue.py), or in the folder, or on the hub; None: the default.

    ``dtype`` is "auto", "float32", "bfloat16" or "int8"; ``language`` is what a many-language translator answers in.
    Raises UnknownName for a name that means nothing, UserError with one sentence for whatever else is wrong.
    """
    if dtype not in DTYPES:
        raise UnknownName("dtype", dtype, DTYPES)
    name = name or default_name()
    entry = CATALOGUE.get(name)
    if entry is None:
        return _load_unlisted(name, cache, dtype, language, on_progress)
    if entry.source is Source.BASE:
        return load_causal(base_checkpoint(cache, on_progress).folder, name, dtype)
    if entry.source is Source.ADAPTERS:
        return load_adapters(trained_folder(), name, cache, dtype, on_progress)
    return load_folder(_from_hub(entry.origin, cache, on_progress), name, dtype, language)


def _load_unlisted(
    name: str, cache: Path | None, dtype: str, language: str, on_progress: Callable[[str], None]
) -> ChatModel:
    folder = Path(name).expanduser()
    if folder.is_dir():
        if "base_sha256" in read_config(folder):
            return load_adapters(folder, folder.name, cache, dtype, on_progress)
        return load_folder(folder, folder.resolve().name, dtype, language)
    if folder.is_file():
        raise UserError(f"{name} is a file; name the folder that holds the checkpoint.")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise UserError(f"There is no folder {name}; name a folder with a checkpoint, or see `chinwag models`.")
    if _HUB_ID.fullmatch(name):
        return load_folder(_from_hub(name, cache, on_progress), name, dtype, language)
    raise UnknownName("model", name, CATALOGUE)


def load_folder(folder: Path, name: str, dtype: str = "auto", language: str = "en") -> ChatModel:
    """An ordinary checkpoint folder of any family; the right module for it is chosen here."""
    config = read_config(folder)
    family = config.get("model_type")
    if not isinstance(family, str):
        raise UserError(f"{folder} is no checkpoint: its config.json names no model_type.")
    if family in NATIVE_FAMILIES:
        from dialogue.models.bart import load_bart

        return load_bart(folder, name, dtype)
    if family == TRAINED_FAMILY:
        return load_trained(folder, name, dtype)
    if _is_plain_llama(folder, config):
        return load_causal(folder, name, dtype)
    from dialogue.models.huggingface import load_huggingface

    return load_huggingface(folder, name, dtype, language)


def load_causal(folder: Path, name: str, dtype: str = "auto") -> ChatModel:
    """A Llama-like language model as an encoder–decoder with a causal encoder, which changes nothing it computes."""
    raw = read_config(folder)
    config = AlignedConfig.from_llama(raw, "causal")
    vocabulary = TokenizerVocabulary.from_file(folder / "tokenizer.json")
    start, end = vocabulary.token_id("<|im_start|>"), vocabulary.token_id("<|im_end|>")
    if start is None or end is None:
        raise UserError(f"{folder} has no <|im_start|> and <|im_end|> tokens: its chat format is not known.")
    network = _network(config, LlamaTensors(config, read_tensors(folder)), dtype, folder, shared=True)
    return ChatModel(
        name=name,
        seq2seq=network,
        vocabulary=vocabulary,
        context_format=ChatMLFormat(vocabulary, start, end),
        start_id=vocabulary.encode("\n")[-1],
        eos_id=end,
        pad_id=end,
        max_context=min(MAX_CONTEXT, int(raw.get("max_position_embeddings", MAX_CONTEXT)) - MAX_REPLY),
        max_reply=MAX_REPLY,
        defaults=CHAT_DEFAULTS,
        languages=frozenset({"en"}),
        fingerprint=fingerprint(folder, dtype),
    )


def load_trained(folder: Path, name: str, dtype: str = "auto") -> ChatModel:
    """A network of ours that was trained whole or from scratch (dialogue/training), with a tokenizer of its own."""
    settings = read_config(folder)
    config = AlignedConfig.from_llama(settings, _encoder_kind(settings, folder))
    vocabulary = TokenizerVocabulary.from_file(folder / "tokenizer.json")
    reading = _trained_format(settings, vocabulary, folder)
    return ChatModel(
        name=name,
        seq2seq=_network(config, read_tensors(folder), dtype, folder, judge=read_judge(folder)),
        vocabulary=vocabulary,
        context_format=reading,
        start_id=reading.bot_start,
        eos_id=reading.turn_end,
        pad_id=reading.turn_end,
        max_context=int(settings.get("max_context", MAX_CONTEXT)),
        max_reply=int(settings.get("max_reply", MAX_REPLY)),
        defaults=_trained_defaults(settings, folder),
        languages=frozenset(settings.get("languages", ["en"])),
        fingerprint=fingerprint(folder, dtype, *_judge_digest(folder)),
    )


def load_adapters(
    folder: Path,
    name: str,
    cache: Path | None = None,
    dtype: str = "auto",
    on_progress: Callable[[str], None] = lambda line: None,
) -> ChatModel:
    """Our own weights: adapters in ``folder`` merged into the base model, layer by layer."""
    settings = read_config(folder)
    base = base_checkpoint(cache, on_progress)
    config, tensors = _adapted(folder, settings, base)
    vocabulary = TokenizerVocabulary.from_file(base.folder / "tokenizer.json")
    reading = _trained_format(settings, vocabulary, folder)
    return ChatModel(
        name=name,
        seq2seq=_network(config, tensors, dtype, folder, judge=read_judge(folder)),
        vocabulary=vocabulary,
        context_format=reading,
        start_id=reading.bot_start,
        eos_id=reading.turn_end,
        pad_id=reading.turn_end,
        max_context=int(settings.get("max_context", MAX_CONTEXT)),
        max_reply=int(settings.get("max_reply", MAX_REPLY)),
        defaults=_trained_defaults(settings, folder),
        languages=frozenset(settings.get("languages", ["en"])),
        fingerprint=fingerprint(folder, base.sha256, dtype, *_judge_digest(folder), pattern=ADAPTER_FILES),
    )


def trained_tensors(
    folder: Path, cache: Path | None = None, on_progress: Callable[[str], None] = lambda line: None
) -> tuple[AlignedConfig, Mapping[str, Tensor], Path]:
    """Sizes and tensors of the network that chats with our own weights in ``folder``, and its tokenizer's file."""
    settings = read_config(folder)
    if "base_sha256" in settings:
        base = base_checkpoint(cache, on_progress)
        return *_adapted(folder, settings, base), base.folder / "tokenizer.json"
    if settings.get("model_type") != TRAINED_FAMILY:
        raise UserError(f"{folder} holds no weights that `chinwag train` made.")
    config = AlignedConfig.from_llama(settings, _encoder_kind(settings, folder))
    return config, read_tensors(folder), folder / "tokenizer.json"


def _adapted(
    folder: Path, settings: Mapping[str, Any], base: BaseCheckpoint
) -> tuple[AlignedConfig, Mapping[str, Tensor]]:
    """The base's network with the adapters in ``folder`` merged in."""
    if settings.get("base_sha256") != base.sha256:
        raise UserError(
            f"{folder} was trained on another base model than the one in {base.folder}; reinstall the base."
        )
    config = AlignedConfig.from_llama(read_config(base.folder), _encoder_kind(settings, folder))
    adapters = read_tensors(folder, ADAPTER_FILES)
    return config, MergedTensors(LlamaTensors(config, read_tensors(base.folder)), adapters)


def _judge_digest(folder: Path) -> list[str]:
    """What a judge adds to the fingerprint."""
    file = folder / JUDGE_FILE
    return [file_sha256(file)] if file.is_file() else []


class LlamaTensors(Mapping[str, Tensor]):
    """A Llama checkpoint's tensors under an AlignedModel's names, read when they are asked for."""

    def __init__(self, config: AlignedConfig, llama: Mapping[str, Tensor]) -> None:
        self._llama = llama
        self._name = {name: old for old in llama for name in aligned_names(config, old)}

    def __getitem__(self, name: str) -> Tensor:
        return self._llama[self._name[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._name)

    def __len__(self) -> int:
        return len(self._name)


class MergedTensors(Mapping[str, Tensor]):
    """A base's tensors with adapters merged in one by one as they are read: no second copy of the whole network."""

    def __init__(self, base: Mapping[str, Tensor], adapters: Mapping[str, Tensor]) -> None:
        check_belongs(base, adapters)
        self._base, self._adapters = base, adapters

    def __getitem__(self, name: str) -> Tensor:
        base, stem = self._base[name], name.removesuffix(".weight")
        if f"{stem}.down" in self._adapters:
            return merged_weight(base, self._adapters[f"{stem}.down"], self._adapters[f"{stem}.up"])
        return self._adapters.get(name, base)

    def __iter__(self) -> Iterator[str]:
        return iter(self._base)

    def __len__(self) -> int:
        return len(self._base)


def _encoder_kind(settings: Mapping[str, Any], folder: Path) -> EncoderKind:
    kind = settings.get("encoder")
    if kind == "causal":
        return "causal"
    if kind == "bidirectional":
        return "bidirectional"
    raise UserError(f"{folder}/config.json says encoder {kind!r}; it must be causal or bidirectional.")


def _trained_format(settings: Mapping[str, Any], vocabulary: TokenizerVocabulary, folder: Path) -> TurnsFormat:
    if settings.get("format") != "turns":
        raise UserError(f"{folder}/config.json names format {settings.get('format')!r}; only 'turns' is known.")
    return TurnsFormat(vocabulary)


def _trained_defaults(settings: Mapping[str, Any], folder: Path) -> DecodingConfig:
    try:
        defaults = CHAT_DEFAULTS.with_(**settings.get("decoding", {}))
    except TypeError as error:
        raise UserError(f"{folder}/config.json has a decoding setting that is not known ({error}).") from error
    if defaults.judge_weight and not (folder / JUDGE_FILE).is_file():
        raise UserError(f"{folder} lacks its judge of replies ({JUDGE_FILE}); get the weights again.")
    return defaults


def _network(
    config: AlignedConfig,
    tensors: Mapping[str, Tensor],
    dtype: str,
    folder: Path,
    *,
    shared: bool = False,
    judge: Judge | None = None,
) -> AlignedSeq2Seq:
    try:
        return AlignedSeq2Seq(config, tensors, choose_kernels(dtype), shared=shared, judge=judge)
    except (KeyError, RuntimeError) as error:
        raise UserError(f"The weights in {folder} do not fit its configuration ({error}); get them again.") from error


def _is_plain_llama(folder: Path, config: Mapping[str, Any]) -> bool:
    """Whether our own network computes the same function: Llama with tied embeddings, no biases, default rotation."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    plain = (
        config.get("model_type") == "llama"
        and config.get("tie_word_embeddings") is True
        and not config.get("attention_bias")
        and not config.get("mlp_bias")
        and config.get("hidden_act", "silu") == "silu"
        and rope.get("rope_type", "default") == "default"
        and (folder / "tokenizer.json").is_file()
    )
    return plain and '"<|im_start|>"' in (folder / "tokenizer.json").read_text(encoding="utf-8", errors="replace")


def _from_hub(hub_id: str, cache: Path | None, on_progress: Callable[[str], None]) -> Path:
    """The checkpoint's files from the hub or its cache on disk; weights in one form only, and no code."""
    from dialogue.models.hub import download

    return download(hub_id, cache, on_progress)
