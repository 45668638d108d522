"""How to decode: one frozen value with every knob, and the table of named presets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal

from dialogue.errors import UnknownName, UserError


class Strategy(StrEnum):
    """The search strategies; docs/decoding.md has a section on each."""

    GREEDY = "greedy"
    BEAM = "beam"
    DIVERSE_BEAM = "diverse_beam"
    DELAYED_BEAM = "delayed_beam"
    SAMPLE = "sample"
    SAMPLE_AND_RANK = "sample_and_rank"


class LengthPenalty(StrEnum):
    """How a finished hypothesis is normalised: ``log_prob / length**alpha``, or Wu et al. 2016 (GNMT), eq. 14."""

    PLAIN = "plain"
    GNMT = "gnmt"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingConfig:
    """Every decoding choice for one reply. Lengths count generated tokens, EOS included, start token not."""

    strategy: Strategy = Strategy.BEAM
    num_beams: int = 10
    num_return: int = 10
    min_length: int = 0
    max_length: int = 40
    length_penalty: float = 1.0
    length_penalty_kind: LengthPenalty = LengthPenalty.PLAIN
    early_stopping: bool | Literal["never"] = True
    no_repeat_ngram: int = 0
    no_repeat_context_ngram: int = 0
    repetition_penalty: float = 1.0
    blocked_phrases: tuple[str, ...] = ()
    # sampling
    samples: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    typical_p: float = 1.0
    seed: int | None = None
    # diverse and delayed beam
    num_groups: int = 1
    diversity_penalty: float = 0.0
    delay_steps: int = 0
    # re-ranking
    cross_turn_overlap: float = 0.0
    pmi_lambda: float = 0.0
    judge_weight: float = 0.0
    # forced by the checkpoint
    forced_first_id: int | None = None
    forced_last_id: int | None = None

    def __post_init__(self) -> None:
        """Refuse what no search can honour, naming the value."""
        for name in ("num_beams", "num_return", "max_length", "samples", "num_groups"):
            if getattr(self, name) < 1:
                raise UserError(f"Decoding setting {name} must be at least 1, not {getattr(self, name)}.")
        for name in ("min_length", "no_repeat_ngram", "no_repeat_context_ngram", "top_k", "delay_steps"):
            if getattr(self, name) < 0:
                raise UserError(f"Decoding setting {name} must be 0 (off) or more, not {getattr(self, name)}.")
        for name in ("diversity_penalty", "pmi_lambda", "judge_weight", "cross_turn_overlap"):
            if not getattr(self, name) >= 0:
                raise UserError(f"Decoding setting {name} must be 0 (off) or more, not {getattr(self, name)}.")
        if not math.isfinite(self.length_penalty):
            raise UserError(f"length_penalty must be a finite number, not {self.length_penalty}.")
        if self.early_stopping not in (True, False, "never"):
            raise UserError(f'early_stopping must be true, false or "never", not {self.early_stopping!r}.')
        if not self.repetition_penalty > 0:
            raise UserError(f"repetition_penalty must be above 0 (1 is off), not {self.repetition_penalty}.")
        if self.min_length > self.max_length:
            raise UserError(f"min_length {self.min_length} exceeds max_length {self.max_length}; lower one of them.")
        if self.num_beams % self.num_groups:
            raise UserError(f"num_beams {self.num_beams} must be a multiple of num_groups {self.num_groups}.")
        if not self.temperature > 0:
            raise UserError(f"temperature must be above 0, not {self.temperature}; for no randomness use greedy.")
        for name in ("top_p", "typical_p"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"{name} must be above 0 and at most 1, not {getattr(self, name)}.")

    def with_(self, **changes: object) -> DecodingConfig:
        """A copy with some settings changed."""
        return replace(self, **changes)  # type: ignore[arg-type]


BLENDERBOT = DecodingConfig(
    min_length=20,
    max_length=59,
    length_penalty=0.65,
    early_stopping=False,
    no_repeat_ngram=3,
    no_repeat_context_ngram=3,
)
"""Roller et al. 2020, sections 4 and 7: beam 10, minimum length 20, 3-gram blocking on reply and context.

Lengths and length penalty as the published checkpoints' configuration has them for transformers (whose maximum of 60
counts the start token).
"""

MEENA = DecodingConfig(strategy=Strategy.SAMPLE_AND_RANK, num_beams=1, samples=20, num_return=20, temperature=0.88)
"""Adiwardana et al. 2020, section 3: N = 20 samples at T = 0.88, ranked by mean log-likelihood."""

_BEAM = DecodingConfig(no_repeat_ngram=3, no_repeat_context_ngram=3)
_SAMPLE = DecodingConfig(strategy=Strategy.SAMPLE, num_beams=1, samples=5, num_return=5)
"""Five draws in the order of drawing: the first is the reply, the others stand by if safety refuses it."""

PRESETS: dict[str, DecodingConfig] = {
    "greedy": DecodingConfig(strategy=Strategy.GREEDY, num_beams=1, num_return=1),
    "beam": _BEAM,
    "blenderbot": BLENDERBOT,
    "meena": MEENA,
    # Adiwardana et al. 2020, section 5: top-k 40 at T = 1.0, and the rule against repeating an earlier turn
    "meena-topk": MEENA.with_(temperature=1.0, top_k=40, cross_turn_overlap=0.6),
    # MEENA's candidates ranked against bland replies, Li et al. 2016
    "meena-pmi": MEENA.with_(temperature=1.0, top_k=40, cross_turn_overlap=0.6, pmi_lambda=0.5),
    "topk": _SAMPLE.with_(top_k=10),  # Fan et al. 2018: k = 10
    "nucleus": _SAMPLE.with_(top_p=0.95),  # Holtzman et al. 2020: p = 0.95
    "typical": _SAMPLE.with_(typical_p=0.95),  # Meister et al. 2022: one of their two settings, 0.2 and 0.95
    # Vijayakumar et al. 2018: Hamming diversity, penalties of 0.2 to 0.8 did well
    "diverse": _BEAM.with_(strategy=Strategy.DIVERSE_BEAM, num_groups=5, diversity_penalty=0.5),
    # Massarelli et al. 2020: top-k 10 at first, then beam search; five tokens suit replies of twenty
    "delayed": _BEAM.with_(strategy=Strategy.DELAYED_BEAM, delay_steps=5, top_k=10),
}


def preset(name: str) -> DecodingConfig:
    """The named preset; raises :class:`UnknownName` with the nearest one."""
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    return PRESETS[name]
