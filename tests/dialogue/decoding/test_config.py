"""What a decoding configuration refuses, and the names it can be asked for by."""

from __future__ import annotations

import pytest

from dialogue.decoding.config import BLENDERBOT, PRESETS, DecodingConfig, preset
from dialogue.errors import UnknownName, UserError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_beams", 0), ("num_return", 0), ("max_length", 0), ("samples", 0), ("num_groups", 0), ("num_groups", 3),
        ("min_length", -1), ("min_length", 41), ("no_repeat_ngram", -1), ("no_repeat_context_ngram", -1),
        ("length_penalty", float("nan")), ("early_stopping", "sometimes"), ("repetition_penalty", 0.0),
        ("temperature", 0.0), ("temperature", float("nan")), ("top_k", -1), ("top_p", 0.0), ("top_p", 1.1),
        ("typical_p", 0.0), ("delay_steps", -1), ("diversity_penalty", -0.5), ("pmi_lambda", -1.0),
        ("cross_turn_overlap", -0.1),
    ],
)  # fmt: skip
def test_a_setting_that_no_search_can_honour_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(UserError, match=name):
        DecodingConfig().with_(**{name: value})


def test_a_preset_is_found_by_name_and_a_near_miss_is_named() -> None:
    assert preset("blenderbot") is BLENDERBOT
    assert len({id(config) for config in PRESETS.values()}) == len(PRESETS)
    with pytest.raises(UnknownName, match="blenderbot"):
        preset("blenderbt")


def test_the_papers_presets_have_the_papers_values() -> None:
    assert (BLENDERBOT.num_beams, BLENDERBOT.min_length) == (10, 20)
    assert (BLENDERBOT.no_repeat_ngram, BLENDERBOT.no_repeat_context_ngram) == (3, 3)
    meena, topk = PRESETS["meena"], PRESETS["meena-topk"]
    assert (meena.samples, meena.temperature, meena.top_k) == (20, 0.88, 0)
    assert (topk.samples, topk.temperature, topk.top_k) == (20, 1.0, 40)
