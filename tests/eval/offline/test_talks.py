"""Self-chat, and what goes wrong over a whole talk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eval.offline.metrics import talks
from eval.offline.selfchat import Side, chat
from eval.offline.selfchat_report import selfchat_report
from eval.ssa.transcripts import read_talks
from tests.eval.offline.tiny_chat import tiny_folder

CIRCLE = ["Hi!", "I like cats a lot.", "Me too, cats are nice.", "I like cats a lot.", "Me too, cats are nice.",
          "I like cats a lot.", "Me too, cats are nice."]  # fmt: skip
STORY = ["Hi!", "What did you do today?", "I walked to the lake.", "Was the water cold?", "Freezing, but lovely.",
         "Did you swim at all?", "Only my feet went in."]  # fmt: skip


def test_a_talk_that_runs_in_a_circle_is_seen_and_a_story_is_not() -> None:
    assert talks.loops(CIRCLE) and not talks.loops(STORY)
    assert talks.repeated_turns(CIRCLE) == pytest.approx(4 / 7) and talks.repeated_turns(STORY) == 0


def test_a_speaker_who_denies_their_own_words_is_seen() -> None:
    assert talks.own_contradictions(["I love dogs.", "Nice.", "I don't like dogs."]) == pytest.approx(1 / 3)
    assert talks.own_contradictions(["I'm a human."], ["I am a chatbot."]) == 1.0
    assert talks.own_contradictions(STORY) == 0.0


def test_two_models_talk_and_the_rating_console_reads_it(tmp_path: Path) -> None:
    one, two = tiny_folder(tmp_path / "one"), tiny_folder(tmp_path / "two", seed=1)
    sides = (Side(str(one), "greedy", "robin"), Side(str(two), "greedy", "mina"))
    rows = chat(sides, ["Hi!", "How are you?", "What now?"], 4, tmp_path / "out", seed=3, threads=1)
    assert [len(row["turns"]) for row in rows] == [4, 4, 4] and rows[1]["turns"][0]["text"] == "How are you?"
    found = read_talks(tmp_path / "out" / "talks.jsonl")
    assert [talk.system for talk in found] == [rows[0]["system"]] * 3 and found[0].rated == (1, 3)
    data = selfchat_report(rows, sides, tmp_path / "out", resamples=50)
    assert data["talks"] == 3 and set(data["statistics"]["looping_talks"]) == {"what", "sides", "difference"}
    kept = (tmp_path / "out" / "talks.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "out" / "talks.jsonl").write_text(kept[0])
    assert chat(sides, ["Hi!", "How are you?", "What now?"], 4, tmp_path / "out", seed=3, threads=1) == rows


def test_pairs_of_a_comparison_can_be_imported_too(tmp_path: Path) -> None:
    row = {"id": "a", "context": ["Hi!"], "answers": {"beam": "Hello.", "meena": "Hey!"}}
    (tmp_path / "pairs.jsonl").write_text(json.dumps(row) + "\n")
    assert {talk.system for talk in read_talks(tmp_path / "pairs.jsonl")} == {"beam", "meena"}
