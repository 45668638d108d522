from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from dialogue.errors import UserError
from eval.offline.corpora import Reading, read_items, spread
from eval.offline.jsonl import numbered_rows

GOOD = {"id": "a", "context": ["Hi!"], "references": ["Hello!"]}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def packed(path: Path, content: bytes) -> Path:
    path.write_bytes(zstandard.ZstdCompressor().compress(content))
    return path


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"context": ["Hi!"]}, "'id' is missing"),
        ({"id": "b"}, "neither 'context' nor 'turns'"),
        ({"id": "b", "context": []}, "'context' is empty"),
        ({"id": "b", "context": "Hi!"}, "'context' needs a list of texts"),
        ({"id": "b", "context": ["Hi!", " "]}, "'context' needs a list of texts"),
        ({"id": "b", "context": ["Hi!"], "references": []}, "'references' is an empty list"),
        ({"id": "b", "context": ["Hi!"], "references": [""]}, "'references' needs a list of texts"),
        ({"id": "b", "context": ["Hi!"], "reference": ""}, "'reference' needs a list of texts"),
        ({"id": "a", "context": ["Hi!"]}, "the id 'a' was used in row 1"),
        ({"id": "b", "turns": [{"speaker": "A", "text": "x"}]}, "at least two turns"),
        ({"id": "b", "turns": [{"speaker": "A", "text": "x"}, {"speaker": "B"}]}, "turn 2"),
    ],
)
def test_a_wrong_row_is_told_in_one_sentence_with_file_and_row(tmp_path: Path, row: Any, complaint: str) -> None:
    path = written(tmp_path / "mine.jsonl", GOOD, row)
    with pytest.raises(UserError) as told:
        read_items(path)
    message = str(told.value)
    assert complaint in message and "mine.jsonl, row 2" in message and "\n" not in message


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"id": 1}\nnot json\n', "row 2: this is not JSON"),
        (b"[1, 2]\n", "row 1: a row must be a JSON object, not list"),
        ('{"id": "é"}\n'.encode("latin-1"), "row 1: not UTF-8 (at byte 9)"),
        ('{"id": 1}\n'.encode("utf-16"), "row 1: this is UTF-16"),
    ],
)
def test_other_encodings_and_forms_name_the_row(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError) as told:
        list(numbered_rows(path))
    assert complaint in str(told.value)


def test_a_truncated_zstd_file_is_an_error_and_the_rows_before_it_are_given(tmp_path: Path) -> None:
    content = b"".join(json.dumps({"id": n, "noise": n**9}).encode() + b"\n" for n in range(30_000))
    path = packed(tmp_path / "big.jsonl.zst", content)
    path.write_bytes(path.read_bytes()[:-2000])
    seen = 0
    with pytest.raises(UserError, match=r"big\.jsonl\.zst, row \d+: the zstd file ends in the middle"):
        for _ in numbered_rows(path):
            seen += 1
    assert seen > 500


def test_damaged_zstd_is_told(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl.zst"
    path.write_bytes(b"this was never packed")
    with pytest.raises(UserError, match="packing is damaged"):
        list(numbered_rows(path))


def test_two_frames_in_one_file_are_both_read(tmp_path: Path) -> None:
    frames = [zstandard.ZstdCompressor().compress(json.dumps({"id": n}).encode() + b"\n") for n in (1, 2)]
    path = tmp_path / "two.jsonl.zst"
    path.write_bytes(b"".join(frames))
    assert [row["id"] for _, row in numbered_rows(path)] == [1, 2]


def test_every_form_of_human_answers_is_understood(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "context": ["q"], "references": ["a", "b"]},
        {"id": 2, "context": ["q"], "positive_responses": ["a"], "adversarial_negative_responses": ["x", "y"]},
        {"id": 3, "context": ["q"], "human_responses": ["a"]},
        {"id": 4, "context": ["q"], "reference": "a"},
        {"id": 5, "context": ["q"], "answers": {"cakechat": "no", "human_1": "a", "human_2": "b"}},
        {"id": 6, "context": ["q"]},
    ]
    items = read_items(written(tmp_path / "forms.jsonl", *rows))
    assert [item.references for item in items] == [("a", "b"), ("a",), ("a",), ("a",), ("a", "b"), ()]
    assert items[1].negatives == ("x", "y")


def test_a_talk_is_cut_at_replies_of_the_second_speaker(tmp_path: Path) -> None:
    turns = [{"speaker": "AB"[n % 2], "text": f"t{n}"} for n in range(7)]
    path = written(tmp_path / "talk.jsonl", {"id": "x", "turns": turns, "persona": ["I sing."]})
    items = read_items(path, Reading(per_talk=2))
    assert [(item.context, item.references) for item in items] == [
        (("t0", "t1", "t2"), ("t3",)), (("t0", "t1", "t2", "t3", "t4"), ("t5",)),
    ]  # fmt: skip
    assert {item.group for item in items} == {"x"} and items[0].facts == ("I sing.",)


def test_a_sample_depends_on_the_ids_alone(tmp_path: Path) -> None:
    rows = [{"id": f"n{n}", "context": ["q"]} for n in range(300)]
    forward = read_items(written(tmp_path / "f.jsonl", *rows), Reading(sample=20))
    backward = read_items(written(tmp_path / "b.jsonl", *reversed(rows)), Reading(sample=20))
    assert len(forward) == 20 and {i.id for i in forward} == {i.id for i in backward}


def test_millions_of_rows_are_sampled_in_little_memory(tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        file.writelines(f'{{"id": {n}, "context": ["what about number {n}"]}}\n' for n in range(20_000))
    tracemalloc.start()
    assert len(read_items(path, Reading(sample=50))) == 50
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2e6  # eight bytes a row for the search of twins, and the sample


def test_too_many_rows_without_a_sample_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eval.offline.corpora.MOST_ROWS_WITHOUT_SAMPLE", 5)
    path = written(tmp_path / "m.jsonl", *[{"id": n, "context": ["q"]} for n in range(9)])
    with pytest.raises(UserError, match="row 6: more than 5 items; give a sample size"):
        read_items(path)


@given(st.integers(1, 40), st.integers(0, 12))
def test_spread_places_are_ordered_distinct_and_end_with_the_last(size: int, count: int) -> None:
    places = spread(list(range(size)), count)
    assert places == sorted(set(places)) and places[-1] == size - 1
    assert len(places) == (size if count == 0 else min(size, count))
