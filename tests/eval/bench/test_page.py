"""The page on decoding: a block for every preset, a word on every option, and outputs that a command can renew."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from dialogue.candidates import Candidate, Hypothesis
from dialogue.decoding.config import PRESETS, DecodingConfig
from dialogue.errors import UserError
from eval.bench.page import OWN, TALK, filled, listing

BLOCKS = (*PRESETS, OWN)
PAGE = Path(__file__).parents[3] / "docs" / "decoding.md"


def test_every_preset_has_its_block_and_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    again = filled(page, {name: f"output of {name}\n" for name in BLOCKS})
    assert all(f"<!-- output: {name} -->\noutput of {name}\n<!-- end of output -->" in again for name in BLOCKS)
    assert filled(again, {name: f"output of {name}\n" for name in BLOCKS}) == again


def test_every_option_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    unexplained = {"strategy", "num_return", "seed"}
    missing = [f.name for f in fields(DecodingConfig) if f"`{f.name}`" not in page and f.name not in unexplained]
    assert missing == []


def test_the_page_shows_the_conversation_that_is_answered() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(text in page for _, text in TALK)


def test_a_listing_shows_numbers_and_what_was_dropped() -> None:
    found = [
        Candidate("Poor picnic!", Hypothesis((4, 5, 6, 1), -6.0, -1.5, True)),
        Candidate("Hi!\nHi!", Hypothesis((4, 5), -1.0, -0.5, True), dropped_by="cross_turn"),
    ]
    text = listing("tiny", found)
    assert "  -1.50  Poor picnic!" in text
    assert "  -0.50  Hi! Hi!   [dropped: cross_turn]" in text


def test_a_page_without_a_block_is_refused() -> None:
    with pytest.raises(UserError, match="beam"):
        filled("no blocks", {"beam": "output"})
