from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bot.exchange import Feedback
from bot.history.memory_store import MemoryStore
from dialogue.errors import UserError
from dialogue.turns import PersonKey
from eval.ssa.agreement import agreement
from eval.ssa.assignment import answer, next_task
from eval.ssa.database import RatingDatabase
from eval.ssa.exporting import export_csv, export_jsonl
from eval.ssa.importing import drop_forgotten, import_talks, sample, talks_from_history
from eval.ssa.live_talks import (
    abandon_talk,
    add_exchange,
    begin_talk,
    finish_talk,
    present_talk,
    system_of,
)
from eval.ssa.protocol import Answer, Kind
from eval.ssa.quality import rater_quality
from eval.ssa.results import over_time, results
from eval.ssa.studies import ChatSystem, StudySettings, create_study, join
from eval.ssa.transcripts import read_talks, talks_of
from tests.bot.history.makers import HERE, exchange
from tests.eval.ssa.makers import PLAIN, study_with, talk


def lines(*rows: object) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def test_every_reply_of_the_bot_is_rated_whoever_opens() -> None:
    turns = [{"speaker": s, "text": str(i)} for i, s in enumerate(["Human 1", "Human 2"] * 3)]
    (found,) = talks_of(lines({"id": "h", "system": "human", "turns": turns}), "a.jsonl")
    assert (found.rated, found.facts["bot"], found.source) == ((1, 3, 5), "Human 2", "h")
    (found,) = talks_of(lines({"id": "h", "system": "human", "turns": turns}), "a.jsonl", bot="Human 1")
    assert found.rated == (0, 2, 4)


def test_static_contexts_become_one_talk_per_answer() -> None:
    found = talks_of(
        lines(
            {"id": "1", "context": ["Hi!", "Hello.", "And you?"], "answers": {"x": "Fine.", "y": "Good."}},
            {"id": "2", "context": ["안녕?"], "human_responses": ["안녕!", "그래."]},
            {"id": "3", "system": "z", "context": ["Hi!"], "response": "Yo", "gold": {"sensible": 1, "specific": 0}},
        ),
        "a.jsonl",
    )
    assert [(t.system, t.source, len(t.turns), t.language) for t in found] == [
        ("x", "1", 4, "en"), ("y", "1", 4, "en"), ("human", "2", 2, "ko"), ("z", "3", 2, "en"),
    ]  # fmt: skip
    assert [turn["speaker"] for turn in found[0].turns] == ["person", "bot", "person", "bot"]
    assert found[3].gold == {1: {"sensible": 1, "specific": 0}}


def test_a_line_that_is_no_conversation_is_named() -> None:
    with pytest.raises(UserError, match=r"Line 2 of a\.jsonl"):
        talks_of(lines({"context": ["a"], "response": "b"}, {"nothing": 1}), "a.jsonl")
    with pytest.raises(UserError, match="UTF-8"):
        talks_of(b"\xff\xfe\xff", "a.jsonl")
    with pytest.raises(UserError, match="cannot be read"):
        read_talks(Path("no such file.jsonl"))


def test_a_sample_keeps_its_size_for_each_system() -> None:
    talks = [talk(i, system, replies=4) for i in range(20) for system in ("Alpha", "Beta")]
    found = sample(talks, replies=15, per_talk=2, seed=1)
    for system in ("Alpha", "Beta"):
        sizes = [len(t.rated) for t in found if t.system == system]
        assert sum(sizes) == 15
        assert max(sizes) == 2
    assert sample(talks, replies=15, per_talk=2, seed=1) == found


def test_importing_the_same_talks_again_doubles_nothing(database: RatingDatabase) -> None:
    made = create_study(database, "s", Kind.STATIC, PLAIN)
    talks = [talk(i) for i in range(3)]
    assert import_talks(database, made.id, talks).replies == 6
    again = import_talks(database, made.id, [*talks, talk(9)])
    assert (again.known, again.talks, again.replies) == (3, 1, 2)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_study_survives_its_export_and_import(database: RatingDatabase, form: str) -> None:
    made = study_with(database, [talk(i, s) for i in range(3) for s in "XY"], replace(PLAIN, raters_per_item=2))
    for number, name in enumerate(("ana", "bo")):
        rater = join(database, made.id, name).id
        task = next_task(database, rater)
        while task is not None:
            task = answer(database, rater, task.item_id, Answer(1 + (task.item_id + number) % 3).labels())
    text = export_jsonl(database, made.id) if form == "jsonl" else export_csv(database, made.id)
    assert "ana" not in text
    copy = create_study(database, "copy", Kind.STATIC, replace(PLAIN, raters_per_item=2))
    assert import_talks(database, copy.id, talks_of(text.encode(), f"x.{form}")).votes == 24
    first, second = results(database, made.id), results(database, copy.id)
    assert first.systems == second.systems
    assert first.agreements == second.agreements
    assert next_task(database, join(database, copy.id, "cy").id) is None


def test_results_say_ssa_like_and_why(sqlite: RatingDatabase) -> None:
    made = study_with(sqlite, [talk(i) for i in range(12)], replace(PLAIN, planned=12))
    rater = join(sqlite, made.id, "reader", kind="language model").id
    task = next_task(sqlite, rater)
    while task is not None:
        task = answer(sqlite, rater, task.item_id, Answer(1 + task.item_id % 3).labels())
    found = results(sqlite, made.id)
    assert found.name == "SSA-like"
    (system,) = found.systems
    words = " ".join(system.departures)
    for part in ("fewer than 5 raters", "language model", "24 replies instead of 1,477"):
        assert part in words
    assert over_time(found.replies)["Alpha"][-1][2] == 24
    (quality,) = rater_quality(sqlite, made.id)
    assert (quality.rater, quality.done, quality.kind) == ("reader", 24, "language model")
    assert any("fast" in flag for flag in quality.flags)


def test_careless_raters_are_flagged_and_careful_ones_are_not(sqlite: RatingDatabase) -> None:
    gold = [talk(i, "Gold", 1, gold={1: {"sensible": 1, "specific": 0}}) for i in range(8)]
    made = study_with(sqlite, [talk(i) for i in range(20)] + gold, replace(PLAIN, gold_every=3, raters_per_item=4))
    for name in ("careful", "solid", "steady", "careless"):
        rater = join(sqlite, made.id, name).id
        task = next_task(sqlite, rater)
        while task is not None:
            right = (
                Answer.SENSIBLE if int(task.lines[0].text.split()[-1]) < 8 and len(task.lines) == 2 else Answer.SPECIFIC
            )
            task = answer(sqlite, rater, task.item_id, (Answer.NOT_SENSIBLE if name == "careless" else right).labels())
    found = {one.rater: one for one in rater_quality(sqlite, made.id)}
    flags = " ".join(found["careless"].flags)
    assert "gold: 0 of 8 right" in flags
    assert "the same answer" in flags
    assert "sides with the others on 0%" in flags
    assert all("gold" not in flag and "sides" not in flag for flag in found["careful"].flags)


def test_replies_that_people_rated_come_from_the_history_with_consent_and_leave_with_it(
    sqlite: RatingDatabase,
) -> None:
    store = MemoryStore()
    ids = [store.append(HERE, exchange(heard=f"question {i}")) for i in range(3)]
    ana = PersonKey("terminal", "ana")
    store.feedback(Feedback(ids[1][1], ana, "sensible", 1, "f"))
    with pytest.raises(UserError, match="agreed"):
        talks_from_history(store, "chinwag", agreed=False)
    (found,) = talks_from_history(store, "chinwag", agreed=True)
    assert len(found.turns) == 4
    assert found.rated == (3,)
    made = study_with(sqlite, [found, talk(1)])
    assert drop_forgotten(sqlite, store) == 0
    store.erase(HERE.door, HERE.place)
    assert drop_forgotten(sqlite, store) == 1
    assert next_task(sqlite, join(sqlite, made.id, "bo").id) is not None


CHAT = StudySettings(
    practice=False, gold_every=0, raters_per_item=2, turns=(4, 6), systems=(ChatSystem("one"), ChatSystem("two"))
)


def test_a_chat_is_labelled_reply_by_reply_and_taken_up_after_anything(database: RatingDatabase) -> None:
    made = create_study(database, "chat", Kind.INTERACTIVE, CHAT)
    ana, bo = (join(database, made.id, name).id for name in ("ana", "bo"))
    talk_id = begin_talk(database, ana).id
    live = add_exchange(database, ana, talk_id, "Hi!", "Hello.", {"decoding": "beam", "safety": True})
    assert live.unrated and live.unrated.item_id
    assert present_talk(database, ana) == live
    assert next_task(database, ana) is None, "their own replies are labelled in the chat"
    with pytest.raises(UserError, match="at least 4 turns"):
        finish_talk(database, ana, talk_id)
    answer(database, ana, live.unrated.item_id, Answer.SPECIFIC.labels())
    live = add_exchange(database, ana, talk_id, "How are you?", "Fine.", {"decoding": "beam", "safety": True})
    with pytest.raises(UserError, match="no label"):
        finish_talk(database, ana, talk_id)
    assert live.unrated and live.unrated.item_id
    answer(database, ana, live.unrated.item_id, Answer.SENSIBLE.labels())
    assert finish_talk(database, ana, talk_id).finished
    assert present_talk(database, ana) is None
    with pytest.raises(UserError, match="over"):
        add_exchange(database, ana, talk_id, "More", "No", {})
    task = next_task(database, bo)  # somebody else rates the same replies
    while task is not None:
        task = answer(database, bo, task.item_id, Answer.SPECIFIC.labels())
    (system,) = results(database, made.id).systems
    assert (system.votes, system.ssa and system.ssa.n) == (4, 2)


def test_systems_of_a_chat_study_get_equally_many_talks_and_stay_hidden(sqlite: RatingDatabase) -> None:
    made = create_study(sqlite, "chat", Kind.INTERACTIVE, CHAT)
    seen = []
    for i in range(10):
        live = begin_talk(sqlite, join(sqlite, made.id, f"p{i}").id)
        seen.append(system_of(sqlite, live.id).name)
        assert "one" not in live.source and "two" not in live.source
    assert sorted(seen) == ["one"] * 5 + ["two"] * 5


def test_an_abandoned_chat_keeps_its_labels_and_loses_its_open_reply(sqlite: RatingDatabase) -> None:
    made = create_study(sqlite, "chat", Kind.INTERACTIVE, CHAT)
    ana = join(sqlite, made.id, "ana").id
    talk_id = begin_talk(sqlite, ana).id
    live = add_exchange(sqlite, ana, talk_id, "Hi!", "Hello.", {})
    assert live.unrated and live.unrated.item_id
    answer(sqlite, ana, live.unrated.item_id, Answer.SPECIFIC.labels())
    add_exchange(sqlite, ana, talk_id, "So?", "Well.", {})
    abandon_talk(sqlite, ana, talk_id)
    (system,) = results(sqlite, made.id).systems
    assert (system.votes, system.ssa and system.ssa.n) == (1, 1)
    assert begin_talk(sqlite, ana).id != talk_id


def test_decoding_that_changed_midway_is_found_out(sqlite: RatingDatabase) -> None:
    made = create_study(sqlite, "chat", Kind.INTERACTIVE, replace(CHAT, systems=(ChatSystem("one"),)))
    ana = join(sqlite, made.id, "ana").id
    talk_id = begin_talk(sqlite, ana).id
    for decoding in ("beam", "sampled"):
        live = add_exchange(sqlite, ana, talk_id, "Hi!", "Hello.", {"decoding": decoding, "safety": False})
        assert live.unrated and live.unrated.item_id
        answer(sqlite, ana, live.unrated.item_id, Answer.SPECIFIC.labels())
    words = " ".join(results(sqlite, made.id).systems[0].departures)
    assert "Decoding changed midway: 2" in words
    assert "safety filter was off for 2 replies" in words


def test_hulic_rates_and_agreement_equal_an_independent_calculation_to_the_digit(
    sqlite: RatingDatabase, shared_eval: Path
) -> None:
    pd, krippendorff = pytest.importorskip("pandas"), pytest.importorskip("krippendorff")
    import zstandard

    with zstandard.open(shared_eval / "ko_hulic_ratings.jsonl.zst", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    talks = read_talks(shared_eval / "ko_hulic_ratings.jsonl.zst")
    made = create_study(sqlite, "hulic", Kind.INTERACTIVE, replace(PLAIN, raters_per_item=20, language="ko"))
    brought = import_talks(sqlite, made.id, talks)
    assert (brought.replies, brought.votes) == (4821, sum(len(row["sensible"]) for row in rows))
    found = results(sqlite, made.id, draws=20)
    assert found.name == "SSA-like"

    flat = pd.DataFrame(
        [
            (row["system"], number, rater, s, c, h)
            for number, row in enumerate(rows)
            for rater, (s, c, h) in enumerate(zip(row["sensible"], row["specific"], row["humanlike"], strict=True))
        ],
        columns=["system", "reply", "rater", "sensible", "specific", "humanlike"],
    )
    flat["ruled"] = flat.sensible * flat.specific
    replies = flat.groupby(["system", "reply"])[["sensible", "ruled", "humanlike"]].mean() > 0.5
    settled = replies.groupby("system").mean()
    raw = flat.groupby("system")[["sensible", "specific", "humanlike"]].mean()
    for system in found.systems:
        want = settled.loc[system.system]
        assert system.ssa is not None
        assert system.parts["sensible"].mean == pytest.approx(want.sensible, abs=1e-12)
        assert system.parts["specific"].mean == pytest.approx(want.ruled, abs=1e-12)
        assert system.ssa.mean == pytest.approx((want.sensible + want.ruled) / 2, abs=1e-12)
        assert system.others["humanlike"].mean == pytest.approx(want.humanlike, abs=1e-12)
        for label in ("sensible", "specific", "humanlike"):
            assert system.raw[label] == pytest.approx(raw.loc[system.system][label], abs=1e-12)

    for name in ("Blender1", "Human"):
        group = [reply for reply in found.replies if reply.system == name]
        for label in ("sensible", "specific", "humanlike"):
            mine = flat[flat.system == name].pivot(index="rater", columns="reply", values=label)
            reference = krippendorff.alpha(mine.to_numpy(dtype=float), level_of_measurement="nominal")
            assert agreement(group, label, draws=5).alpha == pytest.approx(reference, abs=1e-9)


def test_fed_ratings_come_in_with_their_own_names_and_means(sqlite: RatingDatabase, shared_eval: Path) -> None:
    import zstandard

    with zstandard.open(shared_eval / "fed.jsonl.zst", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    made = create_study(sqlite, "fed", Kind.STATIC, replace(PLAIN, raters_per_item=5))
    import_talks(sqlite, made.id, read_talks(shared_eval / "fed.jsonl.zst"))
    found = {system.system: system for system in results(sqlite, made.id, draws=5).systems}
    assert set(found) == {"Meena", "Mitsuku", "Human"}
    for name, system in found.items():
        for quality in ("Specific", "Relevant", "Overall"):
            values = [
                v
                for row in rows
                if row["system"] == name and row["level"] == "turn"
                for v in row["annotations"][quality]
                if isinstance(v, int)
            ]
            assert system.raw[f"fed.{quality.lower()}"] == pytest.approx(np.mean(values), abs=1e-12)
        assert system.ssa is None


def test_the_transcripts_of_the_papers_come_in_whole(sqlite: RatingDatabase, shared_eval: Path) -> None:
    made = create_study(sqlite, "papers", Kind.INTERACTIVE, PLAIN)
    sizes = {}
    for name in ("meena", "human", "blender"):
        talks = read_talks(shared_eval / f"{name}_transcripts.jsonl.zst")
        sizes[name] = import_talks(sqlite, made.id, talks)
    assert [sizes[name].talks for name in ("meena", "human", "blender")] == [50, 50, 108]
    assert (sizes["meena"].replies, sizes["blender"].replies) == (490, 756)
