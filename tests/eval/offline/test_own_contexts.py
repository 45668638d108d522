"""What we wrote to measure with must not stand in what we wrote to train on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dialogue.training
from dialogue.rerank import words
from dialogue.training.identity import TALKS, identity_talks
from dialogue.training.own_talks import FOLDERS, own_talks
from eval.offline.corpora import read_items
from eval.offline.suite import SHIPPED
from eval.safety_suite import read_prompts

JUDGED = Path(dialogue.training.__file__).parent / "judged.jsonl"


@pytest.fixture(scope="module")
def trained_on() -> frozenset[str]:
    """Every turn of the project's own talks and judged replies, whoever says it, without case and marks."""
    sources = (*(own_talks(source) for source in FOLDERS), identity_talks(TALKS))
    talks = (talk for source in sources for talk in source)
    judged = [json.loads(line) for line in JUDGED.read_text(encoding="utf-8").splitlines()]
    texts = [text for row in judged for text in (*row["context"], *(reply["text"] for reply in row["replies"]))]
    texts += [text for talk in talks for _, text in talk.turns]
    return frozenset(" ".join(words(text)) for text in texts)


def standing(texts: list[str], trained_on: frozenset[str]) -> list[str]:
    return [text for text in texts if " ".join(words(text)) in trained_on]


def test_a_line_of_the_talks_is_found_whatever_its_case_and_marks(trained_on: frozenset[str]) -> None:
    assert len(trained_on) > 10_000
    assert standing(["tell me A JOKE", "Are you a real person?!"], trained_on) == [
        "tell me A JOKE",
        "Are you a real person?!",
    ]


def test_no_turn_and_no_answer_of_our_own_suites_stands_in_our_own_talks(trained_on: frozenset[str]) -> None:
    files = sorted(SHIPPED.glob("*.jsonl"))
    items = [item for path in files for item in read_items(path)]
    assert files and len(items) >= 40
    assert standing([text for item in items for text in (*item.context, *item.references)], trained_on) == []


def test_no_safety_prompt_stands_in_our_own_talks(trained_on: frozenset[str]) -> None:
    assert standing([prompt.text for prompt in read_prompts()], trained_on) == []
