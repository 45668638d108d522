from __future__ import annotations

from pathlib import Path

import pytest

from dialogue.errors import UnknownName, UserError
from dialogue.training.corpus import (
    Cleaner,
    Counts,
    Talk,
    fingerprints,
    held_out,
    load_mix,
    read_talks,
    refuse_unshippable,
    split_talks,
    test_fingerprints,
)
from tests.dialogue.training.tiny import talk, write_corpus, write_talks


def a_talk(*texts: str, name: str = "t", persona: tuple[str, ...] = ()) -> Talk:
    return Talk("chat", name, persona, tuple(("AB"[i % 2], text) for i, text in enumerate(texts)))


def rude(text: str) -> str | None:
    return "profanity" if "drat" in text else None


def test_a_turn_the_filter_names_is_cut_out_and_counted_and_the_rest_is_kept() -> None:
    counts = Counts()
    parts = list(Cleaner(rude).clean([a_talk("Hi!", "Hello.", "drat it", "Well.", "Right.", "drat", "So.")], counts))
    assert [[text for _, text in part.turns] for part in parts] == [["Hi!", "Hello."], ["Well.", "Right."]]
    assert counts.dropped == {"profanity": 2}
    assert (counts.talks_read, counts.talks_kept, counts.turns_kept, counts.too_short) == (1, 2, 4, 1)


def test_a_persona_the_filter_names_is_left_out() -> None:
    parts = list(Cleaner(rude).clean([a_talk("Hi!", "Hello.", persona=("I say drat.",))], Counts()))
    assert parts[0].persona == ()


def test_people_who_talk_about_being_paid_to_talk_are_not_learnt_from() -> None:
    counts = Counts()
    list(Cleaner().clean([a_talk("Hi!", "Hello.", "Do you do mturk often?", "Yes.", "Ok.")], counts))
    assert counts.dropped == {"about the collection": 1}


LONG = "This is a rather long turn of speech with more than twelve words in it"


def test_a_talk_that_shares_a_long_turn_with_a_test_talk_is_dropped_whatever_its_punctuation() -> None:
    counts, forbidden = Counts(), fingerprints(a_talk("Hm?", LONG))
    changed = a_talk("Something else entirely.", LONG.upper() + "!!", "And more.")
    kept = list(Cleaner(forbidden=forbidden).clean([changed, a_talk("Hi!", "Hello.")], counts))
    assert [part.turns[0][1] for part in kept] == ["Hi!"]
    assert counts.test_overlaps == 1


def test_a_near_duplicate_is_dropped_and_a_talk_that_shares_one_turn_is_kept() -> None:
    first = a_talk(*(f"{LONG} number {n}" for n in ("one", "two", "three", "four")))
    nearly = a_talk(*(text for _, text in first.turns), "A new ending.", name="nearly")
    shares = a_talk(f"{LONG} number one", f"{LONG} of a new kind", f"{LONG} yet another one", name="shares")
    counts = Counts()
    kept = list(Cleaner().clean([first, nearly, shares], counts))
    assert [part.id for part in kept] == ["t", "shares"]
    assert counts.near_duplicates == 1


def test_without_a_validation_file_a_twentieth_is_held_out_by_id_and_never_trained_on(tmp_path: Path) -> None:
    write_corpus(tmp_path, talks=600)
    train = {t.id for t in split_talks(tmp_path, "facts", "train")}
    valid = {t.id for t in split_talks(tmp_path, "facts", "valid")}
    assert train.isdisjoint(valid)
    assert len(train) + len(valid) == 600
    assert 12 <= len(valid) <= 55
    assert all(held_out(name) for name in valid)
    assert {t.id for t in split_talks(tmp_path, "chat", "valid")} == {f"chat-{n}" for n in range(1000, 1010)}


def test_test_talks_of_every_source_are_kept_out(tmp_path: Path) -> None:
    write_talks(tmp_path / "chat.test.jsonl.zst", [talk(5, "chat", "test")])
    (one,) = read_talks(tmp_path / "chat.test.jsonl.zst")
    assert test_fingerprints(tmp_path) == fingerprints(one) != set()


def test_mistakes_get_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mixes\.json"):
        load_mix(tmp_path, "open")
    write_corpus(tmp_path)
    with pytest.raises(UnknownName, match="'both'"):
        load_mix(tmp_path, "bothe")
    with pytest.raises(UserError, match="no file nosuch"):
        list(split_talks(tmp_path, "nosuch", "train"))
    (tmp_path / "bad.train.jsonl.zst").write_bytes(b"not packed")
    with pytest.raises(UserError, match="cannot be read"):
        list(split_talks(tmp_path, "bad", "train"))
    write_talks(tmp_path / "odd.train.jsonl.zst", [{"source": "odd"}])
    with pytest.raises(UserError, match="Line 1 of odd"):
        list(split_talks(tmp_path, "odd", "train"))


def test_a_shipped_model_never_learns_from_a_source_without_a_clear_licence() -> None:
    records = {"a": {"licence_class": "permissive"}, "b": {"licence_class": "noncommercial"}}
    refuse_unshippable(records, ["a"])
    for bad in ("b", "unlisted"):
        with pytest.raises(UserError, match=bad):
            refuse_unshippable(records, ["a", bad])
