"""What is peculiar to each checkpoint family: its context format, its special ids, its generation defaults.

Reads the settings of ``config.json`` and ``generation_config.json`` as plain mappings; runs no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from dialogue.decoding.config import DecodingConfig, Strategy
from dialogue.errors import UserError
from dialogue.models.chat_model import ContextFormat, Vocabulary
from dialogue.models.checkpoint import read_json
from dialogue.models.formats import BlenderbotFormat, ChatMLFormat, DialoGPTFormat, SeparatorFormat

LONGEST_REPLY = 128
"""Tokens: what a checkpoint's own longer maximum is cut to, so that a reply stays a reply."""

BEAMS = 4
"""Where a checkpoint does not say."""

_T5_LIKE = frozenset({"t5", "mt5", "umt5", "switch_transformers", "longt5"})
_CHAT_BEAMS = DecodingConfig(no_repeat_ngram=3, no_repeat_context_ngram=3)


class TokenVocabulary(Vocabulary, Protocol):
    """A vocabulary that can be asked for the id of one exact token."""

    def token_id(self, token: str) -> int | None:
        """The id of a token such as ``</s>``, or None where there is no such token."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """How a family reads a conversation and where its replies begin and end."""

    context_format: ContextFormat
    start_id: int
    eos_id: int
    pad_id: int
    defaults: DecodingConfig
    languages: frozenset[str]


def read_settings(folder: Path, class_defaults: Mapping[str, Any]) -> dict[str, Any]:
    """``class_defaults``, then ``config.json``, then ``generation_config.json``; later ones win, nulls never do."""
    sources: list[Mapping[str, Any]] = [class_defaults, read_json(folder / "config.json")]
    if (folder / "generation_config.json").is_file():
        sources.append(read_json(folder / "generation_config.json"))
    return {key: value for source in sources for key, value in source.items() if value is not None}


def decoding_defaults(settings: Mapping[str, Any]) -> DecodingConfig:
    """The checkpoint's own generation settings as ours.

    In transformers ``max_length`` counts the decoder's start token, and ``min_length`` is compared before the end token
    is added: 60 is our 59, 20 our 20. ``min_new_tokens`` come before the end token, which we count too. All beams are
    returned, because the safety filter may need a second choice; for the same reason a checkpoint that does not say
    gets a few beams.
    """
    beams = int(settings.get("num_beams", 1 if settings.get("do_sample") else BEAMS))
    longest = min(int(settings.get("max_new_tokens") or settings.get("max_length", 41) - 1), LONGEST_REPLY)
    before_end = int(settings.get("min_new_tokens", 0))
    shortest = before_end + 1 if before_end else int(settings.get("min_length", 0))
    config = DecodingConfig(
        strategy=Strategy.BEAM if beams > 1 else Strategy.GREEDY,
        num_beams=beams,
        num_return=beams,
        max_length=max(longest, 1),
        min_length=min(max(shortest, 0), max(longest, 1)),
        length_penalty=float(settings.get("length_penalty", 1.0)),
        early_stopping=settings.get("early_stopping", False),
        no_repeat_ngram=int(settings.get("no_repeat_ngram_size", 0)),
        no_repeat_context_ngram=int(settings.get("encoder_no_repeat_ngram_size", 0)),
        repetition_penalty=float(settings.get("repetition_penalty", 1.0)),
        forced_first_id=_first(settings.get("forced_bos_token_id")),
        forced_last_id=_first(settings.get("forced_eos_token_id")),
    )
    return _sampling(config, settings) if settings.get("do_sample") and beams == 1 else config


def _sampling(config: DecodingConfig, settings: Mapping[str, Any]) -> DecodingConfig:
    return replace(
        config,
        strategy=Strategy.SAMPLE,
        temperature=float(settings.get("temperature", 1.0)),
        top_k=int(settings.get("top_k", 50)),
        top_p=float(settings.get("top_p", 1.0)),
    )


def _first(token: object) -> int | None:
    """Some settings hold one id, some a list of them."""
    if isinstance(token, (list, tuple)):
        token = token[0] if token else None
    return int(token) if isinstance(token, int) else None


def seq2seq_reading(vocabulary: TokenVocabulary, settings: Mapping[str, Any], language: str = "en") -> Reading:
    """The reading of an encoder–decoder checkpoint; raises UserError when it lacks what its family needs."""
    family = str(settings["model_type"])
    eos, start = _first(settings.get("eos_token_id")), _first(settings.get("decoder_start_token_id"))
    start = start if start is not None else _first(settings.get("bos_token_id"))
    if eos is None or start is None:
        raise UserError("The checkpoint's config.json names no eos_token_id or decoder_start_token_id; add them.")
    pad = _first(settings.get("pad_token_id"))
    defaults = decoding_defaults(settings)
    spoken, context_format = frozenset({"en"}), _seq2seq_format(family, vocabulary, settings, eos)
    code = _language_token(family, vocabulary, language)
    if code is not None:
        spoken, defaults = frozenset({language}), replace(defaults, forced_first_id=code)
        context_format = SeparatorFormat(vocabulary, separator=(eos,), begin=(code,), end=(eos,))
    return Reading(context_format, start, eos, eos if pad is None else pad, defaults, spoken)


def _seq2seq_format(family: str, vocabulary: TokenVocabulary, settings: Mapping[str, Any], eos: int) -> ContextFormat:
    if family == "blenderbot":
        newline, space = tuple(vocabulary.encode("\n")), tuple(vocabulary.encode(" "))
        return BlenderbotFormat(vocabulary, delimiter=space, newline=newline, lead=" ", end=(eos,))
    if family == "blenderbot-small":
        newln = vocabulary.token_id("__newln__")
        between = () if newln is None else (newln,)
        return BlenderbotFormat(vocabulary, delimiter=between, newline=between, lead="")
    if family in _T5_LIKE:
        cue = tuple(vocabulary.encode("Bot:"))
        return SeparatorFormat(vocabulary, (), end=(eos,), user_label="User: ", bot_label="Bot: ", cue=cue)
    begin = _first(settings.get("bos_token_id"))
    framed = begin is not None and family in ("bart", "led")
    return SeparatorFormat(
        vocabulary, separator=(eos,), begin=(begin,) if framed and begin is not None else (), end=(eos,)
    )


def _language_token(family: str, vocabulary: TokenVocabulary, language: str) -> int | None:
    """The id that tells mBART or M2M-100 which language to read and write; None for families without such ids."""
    if family == "m2m_100":
        candidates = [f"__{language}__"]
    elif family == "mbart":
        candidates = [code for code in MBART_CODES.split() if code.startswith(f"{language}_")]
    else:
        return None
    for token in candidates:
        if (found := vocabulary.token_id(token)) is not None:
            return found
    raise UserError(f"This checkpoint has no token for the language {language!r}; choose one that it was trained on.")


MBART_CODES = (
    "ar_AR cs_CZ de_DE en_XX es_XX et_EE fi_FI fr_XX gu_IN hi_IN it_IT ja_XX kk_KZ ko_KR lt_LT lv_LV my_MM ne_NP "
    "nl_XX ro_RO ru_RU si_LK tr_TR vi_VN zh_CN af_ZA az_AZ bn_IN fa_IR he_IL hr_HR id_ID ka_GE km_KH mk_MK ml_IN "
    "mn_MN mr_IN pl_PL ps_AF pt_XX sv_SE sw_KE ta_IN te_IN th_TH tl_XX uk_UA ur_PK xh_ZA gl_ES sl_SI"
)
"""Tang et al. 2020, Table 1: mBART-50's language codes."""


def causal_reading(vocabulary: TokenVocabulary, settings: Mapping[str, Any]) -> Reading:
    """The reading of a decoder-only checkpoint: ChatML where it has those tokens, DialoGPT's for GPT-2, else labels."""
    eos = _first(settings.get("eos_token_id"))
    if eos is None:
        raise UserError("The checkpoint's config.json names no eos_token_id; add it.")
    pad = _first(settings.get("pad_token_id"))
    pad, english, config = eos if pad is None else pad, frozenset({"en"}), _causal_defaults(settings)
    begin, end = vocabulary.token_id("<|im_start|>"), vocabulary.token_id("<|im_end|>")
    if begin is not None and end is not None:
        newline = vocabulary.encode("\n")[-1]
        return Reading(ChatMLFormat(vocabulary, begin, end), newline, end, pad, config, english)
    if settings.get("model_type") == "gpt2":
        return Reading(DialoGPTFormat(vocabulary, eos), eos, eos, pad, config, english)
    newline_ids, cue = vocabulary.encode("\n"), vocabulary.encode("Bot:")
    stop = newline_ids[-1] if len(newline_ids) == 1 else eos
    labels = SeparatorFormat(
        vocabulary, tuple(newline_ids), user_label="User: ", bot_label="Bot: ", cue=tuple(cue[:-1])
    )
    return Reading(labels, cue[-1], stop, pad, config, english)


def _causal_defaults(settings: Mapping[str, Any]) -> DecodingConfig:
    """Language models ship settings for continuing documents; only their sampling settings are meant for chat."""
    return _sampling(_CHAT_BEAMS, settings) if settings.get("do_sample") else _CHAT_BEAMS


def positions(settings: Mapping[str, Any], default: int = 512) -> int:
    """How many positions the checkpoint can tell apart (tokens)."""
    for key in ("max_position_embeddings", "n_positions", "max_target_positions"):
        if isinstance(settings.get(key), int) and settings[key] > 0:
            return int(settings[key])
    return default
