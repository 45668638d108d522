"""The engines that are measured, each behind the same two steps: load a checkpoint, answer a batch.

Everything heavy is imported inside, so that a process carries only the engine it measures.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.bench.shapes import NGRAM, REPLY, Shape

if TYPE_CHECKING:
    from dialogue.models.bart import BartSeq2Seq

Answer = Callable[[Sequence[Sequence[int]], int], list[list[int]]]
"""(contexts, beams) -> the best reply to each, as token ids."""


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine in one precision. ``load`` is given a checkpoint folder and its shape."""

    name: str
    dtype: str
    load: Callable[[Path, Shape, str], Answer]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}"


def load_transformers(folder: Path, shape: Shape, dtype: str) -> Answer:
    """``generate`` of transformers; int8 is torch's dynamic quantisation of all linear layers."""
    import torch
    from transformers import AutoModelForSeq2SeqLM
    from transformers.utils.logging import disable_progress_bar, set_verbosity_error

    set_verbosity_error()  # type: ignore[no-untyped-call]
    disable_progress_bar()  # type: ignore[no-untyped-call]
    kind = torch.bfloat16 if dtype == "bf16" else torch.float32
    network: Any = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=kind).train(False)
    if dtype == "int8":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantise: Any = torch.ao.quantization.quantize_dynamic
            network = quantise(network, {torch.nn.Linear}, dtype=torch.qint8)

    def answer(contexts: Sequence[Sequence[int]], beams: int) -> list[list[int]]:
        ids = torch.tensor(contexts)
        rows: list[list[int]] = network.generate(
            ids, attention_mask=torch.ones_like(ids), num_beams=beams, do_sample=False, early_stopping=beams > 1,
            min_new_tokens=REPLY, max_new_tokens=REPLY, no_repeat_ngram_size=NGRAM,
            encoder_no_repeat_ngram_size=NGRAM, forced_eos_token_id=None, length_penalty=1.0, max_length=None,
            min_length=None,
        ).tolist()  # fmt: skip
        return [row[1:] for row in rows]

    return answer


def load_chinwag(folder: Path, shape: Shape, dtype: str) -> Answer:
    """Our own network and search."""
    network = open_network(folder, dtype)
    return searching(network, start_id=shape.start_id, eos_id=shape.eos_id, pad_id=shape.pad_id)


def open_network(folder: Path, dtype: str) -> BartSeq2Seq:
    """Our own network over a checkpoint, in "fp32", "bf16", "int8" or "auto"."""
    from dialogue.models.bart import CLASS_DEFAULTS, BartConfig, BartSeq2Seq
    from dialogue.models.checkpoint import read_tensors
    from dialogue.models.families import read_settings
    from dialogue.models.kernels import choose_kernels

    settings = read_settings(folder, {})
    settings = read_settings(folder, CLASS_DEFAULTS[settings["model_type"]])
    kernels = choose_kernels({"fp32": "float32", "bf16": "bfloat16"}.get(dtype, dtype))
    return BartSeq2Seq(BartConfig.from_settings(settings), read_tensors(folder), kernels)


def searching(network: Any, *, start_id: int, eos_id: int, pad_id: int, reply: int = REPLY) -> Answer:
    """Our search over any Seq2Seq, with the benchmark's settings; ``reply`` tokens in each reply."""
    from dialogue.decoding.config import DecodingConfig
    from dialogue.decoding.search import DecodingRequest, decode

    def answer(contexts: Sequence[Sequence[int]], beams: int) -> list[list[int]]:
        config = DecodingConfig(
            num_beams=beams, num_return=1, max_length=reply, no_repeat_ngram=NGRAM, no_repeat_context_ngram=NGRAM
        )
        never = ((eos_id,),)  # the end is blocked: every reply has its full length
        requests = [
            DecodingRequest(id=number, input_ids=context, config=config, banned=never)
            for number, context in enumerate(contexts)
        ]
        found = decode(network, requests, start_id=start_id, eos_id=eos_id, pad_id=pad_id)
        return [list(hypotheses[0].token_ids) for hypotheses in found]

    return answer


def load_ctranslate2(folder: Path, shape: Shape, dtype: str) -> Answer:
    """CTranslate2, converted from the checkpoint; it has no n-gram blocking on the context, so it is spared that."""
    from eval.bench.ct2 import open_translator

    translator = open_translator(folder, dtype)

    def answer(contexts: Sequence[Sequence[int]], beams: int) -> list[list[int]]:
        tokens = [[f"t{token}" for token in context] for context in contexts]
        results = translator.translate_batch(
            tokens, beam_size=beams, min_decoding_length=REPLY, max_decoding_length=REPLY, no_repeat_ngram_size=NGRAM,
            suppress_sequences=[[f"t{shape.eos_id}"]], length_penalty=1.0,
        )  # fmt: skip
        return [[int(token[1:]) for token in result.hypotheses[0]] for result in results]

    return answer


ENGINES = (
    Engine("transformers", "fp32", load_transformers),
    Engine("transformers", "bf16", load_transformers),
    Engine("transformers", "int8", load_transformers),
    Engine("ctranslate2", "fp32", load_ctranslate2),
    Engine("ctranslate2", "int8", load_ctranslate2),
    Engine("chinwag", "fp32", load_chinwag),
    Engine("chinwag", "bf16", load_chinwag),
    Engine("chinwag", "int8", load_chinwag),
)
QUICK = ("transformers fp32", "ctranslate2 int8", "chinwag bf16", "chinwag int8")


def engines(*, quick: bool) -> list[Engine]:
    """Those that can be measured here."""
    here = [e for e in ENGINES if e.name != "ctranslate2" or importlib.util.find_spec("ctranslate2") is not None]
    return [engine for engine in here if not quick or str(engine) in QUICK]
