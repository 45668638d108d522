from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from dialogue.errors import UnknownName, UserError
from dialogue.turns import now
from eval.ssa.assignment import answer, choose, flipped, next_task, progress, skip, undo
from eval.ssa.database import RatingDatabase, open_ratings
from eval.ssa.pairs import make_pairs
from eval.ssa.protocol import Answer, Kind
from eval.ssa.questions import FORM
from eval.ssa.results import choices, results
from eval.ssa.studies import (
    Study,
    StudySettings,
    change_study,
    create_study,
    delete_study,
    join,
    raters,
    studies,
    study,
    study_named,
)
from eval.ssa.tables import AssignmentRow, ItemRole, ItemRow, NoteRow, State
from eval.ssa.tasks import Task
from tests.eval.ssa.makers import PLAIN, opened, study_with, talk

YES = Answer.SPECIFIC.labels()


def rate_all(database: RatingDatabase, rater_id: int, labels: dict[str, int] = YES) -> list[int]:
    """Answer everything there is; the items in order."""
    seen = []
    task = next_task(database, rater_id)
    while task is not None:
        seen.append(task.item_id)
        task = answer(database, rater_id, task.item_id, labels)
    return seen


def test_a_rater_gets_every_item_once_and_then_nothing(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(5)])
    seen = rate_all(database, join(database, made.id, "ana").id)
    assert len(seen) == len(set(seen)) == 10


def test_an_item_gets_exactly_as_many_raters_as_it_wants(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(3)], replace(PLAIN, raters_per_item=2))
    counts = [len(rate_all(database, join(database, made.id, name).id)) for name in ("ana", "bo", "cy")]
    assert counts == [6, 6, 0]
    (system,) = results(database, made.id).systems
    assert (system.votes, system.ssa and system.ssa.mean) == (12, 1.0)


def test_a_rater_who_comes_back_finds_the_item_they_left(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(5)])
    ana = join(database, made.id, "ana").id
    first = next_task(database, ana)
    assert next_task(database, ana) == first
    assert join(database, made.id, "ana").id == ana


def test_two_raters_hold_different_places(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(5)])
    tasks = [next_task(database, join(database, made.id, name).id) for name in ("ana", "bo")]
    assert tasks[0] and tasks[1] and tasks[0].item_id != tasks[1].item_id


def test_undo_brings_back_the_last_answer_and_takes_its_label_away(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(3)])
    ana = join(database, made.id, "ana").id
    first = next_task(database, ana)
    assert first
    second = answer(database, ana, first.item_id, YES)
    again = undo(database, ana)
    assert again and second
    assert again == first
    assert progress(database, ana).done == 0
    after = answer(database, ana, first.item_id, Answer.NOT_SENSIBLE.labels())
    assert after == second
    assert undo(database, ana) and undo(database, ana) == first


def test_a_skipped_item_goes_to_the_others_and_never_back(database: RatingDatabase) -> None:
    made = study_with(database, [talk(1, replies=1)])
    ana, bo = (join(database, made.id, name).id for name in ("ana", "bo"))
    task = next_task(database, ana)
    assert task
    assert next_task(database, bo) is None
    assert skip(database, ana, task.item_id) is None
    assert rate_all(database, bo) == [task.item_id]
    assert undo(database, ana) == task


def test_a_lease_that_ran_out_goes_to_somebody_else_and_a_late_answer_is_kept(database: RatingDatabase) -> None:
    made = study_with(database, [talk(1, replies=1)])
    ana, bo = (join(database, made.id, name).id for name in ("ana", "bo"))
    task = next_task(database, ana)
    assert task
    assert next_task(database, bo) is None
    with database.writing() as session:
        session.execute(update(AssignmentRow).values(leased_until=now() - timedelta(seconds=1)))
    assert next_task(database, bo) == task
    answer(database, ana, task.item_id, YES)
    answer(database, bo, task.item_id, YES)
    assert sum(system.votes for system in results(database, made.id).systems) == 2


def test_the_same_click_twice_is_one_label(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(2)])
    ana = join(database, made.id, "ana").id
    task = next_task(database, ana)
    assert task
    answer(database, ana, task.item_id, YES)
    answer(database, ana, task.item_id, YES)
    assert progress(database, ana).done == 1


def test_labels_that_were_not_asked_for_are_refused(database: RatingDatabase) -> None:
    made = study_with(database, [talk(1)])
    ana = join(database, made.id, "ana").id
    task = next_task(database, ana)
    assert task
    for labels in ({"safe": 1}, {"sensible": 3}):
        with pytest.raises(UserError):
            answer(database, ana, task.item_id, labels)
    with pytest.raises(UserError):
        answer(database, ana, task.item_id + 1000, YES)


def test_extra_questions_keep_the_item_until_all_are_answered(sqlite: RatingDatabase) -> None:
    made = study_with(sqlite, [talk(1, replies=1)], replace(PLAIN, extras=("safe", "interesting")))
    ana = join(sqlite, made.id, "ana").id
    task = next_task(sqlite, ana)
    assert task
    half = answer(sqlite, ana, task.item_id, YES)
    assert half and half.item_id == task.item_id
    assert half.open == ("interesting", "safe")
    assert next_task(sqlite, ana) == half  # a browser that died in between
    assert progress(sqlite, ana).done == 0
    answer(sqlite, ana, task.item_id, {"interesting": 0})
    assert answer(sqlite, ana, task.item_id, {"safe": 1}) is None


def test_five_practice_items_come_first_with_their_answers(sqlite: RatingDatabase) -> None:
    made = study_with(sqlite, [talk(1)], replace(PLAIN, practice=True))
    ana = join(sqlite, made.id, "ana").id
    task = next_task(sqlite, ana)
    for _ in range(5):
        assert task and task.role is ItemRole.PRACTICE
        assert task.remark and task.expected
        task = answer(sqlite, ana, task.item_id, YES)
    assert task and task.role is ItemRole.ITEM
    assert task.expected is None
    assert results(sqlite, made.id).systems == ()


def test_gold_items_come_at_their_turn_and_look_like_all_others(sqlite: RatingDatabase) -> None:
    gold = [talk(i, "Gold", 1, gold={1: {"sensible": 0, "specific": 0}}) for i in range(3)]
    made = study_with(sqlite, [talk(i) for i in range(6)] + gold, replace(PLAIN, gold_every=4))
    ana = join(sqlite, made.id, "ana").id
    task, roles = next_task(sqlite, ana), []
    while task is not None:
        roles.append(task.role)
        assert task.expected is None
        task = answer(sqlite, ana, task.item_id, YES)
    assert [i for i, role in enumerate(roles) if role is ItemRole.GOLD] == [3, 7, 11]
    assert [system.system for system in results(sqlite, made.id).systems] == ["Alpha"]


def test_a_task_never_names_its_system(sqlite: RatingDatabase) -> None:
    secret = [talk(i, "SecretBot", 1, turns=({"speaker": "Human", "text": "Hi!"}, {"speaker": "SecretBot", "text": "Yo"})) for i in range(3)]  # fmt: skip  # noqa: E501
    made = study_with(sqlite, secret)
    task = next_task(sqlite, join(sqlite, made.id, "ana").id)
    assert task and "Secret" not in repr(task) and "Human" not in repr(task)
    assert [line.speaker for line in task.lines] == ["A", "B"]


def test_a_closed_study_hands_out_nothing(sqlite: RatingDatabase) -> None:
    made = study_with(sqlite, [talk(1)])
    change_study(sqlite, made.id, made.settings, closed=True)
    assert next_task(sqlite, join(sqlite, made.id, "ana").id) is None


def test_more_raters_can_be_wanted_later(sqlite: RatingDatabase) -> None:
    made = study_with(sqlite, [talk(1)])
    rate_all(sqlite, join(sqlite, made.id, "ana").id)
    assert rate_all(sqlite, join(sqlite, made.id, "bo").id) == []
    change_study(sqlite, made.id, replace(PLAIN, raters_per_item=2))
    assert len(rate_all(sqlite, join(sqlite, made.id, "bo").id)) == 2


def test_choices_are_stored_for_the_talk_and_not_for_the_side(database: RatingDatabase) -> None:
    settings = replace(PLAIN, raters_per_item=3, questions=("engaging", "human"))
    talks = [talk(i, system) for i in range(6) for system in ("Alpha", "Beta")]
    made = study_with(database, talks, settings, kind=Kind.PAIRWISE)
    assert make_pairs(database, made.id, 5, seed=1) == 10
    sides = []
    for name in ("ana", "bo", "cy"):
        rater = join(database, made.id, name).id
        task = next_task(database, rater)
        while task is not None:
            alpha_is_left = "Alpha" in task.lines[1].text
            assert ("Beta" in task.right[1].text) is alpha_is_left
            assert flipped(database, rater, task.item_id) is not alpha_is_left
            sides.append(alpha_is_left)
            task = choose(database, rater, task.item_id, left=alpha_is_left)
    assert len(set(sides)) == 2
    for question in ("engaging", "human"):
        made_choices = choices(database, made.id, question)
        assert len(made_choices) == 15
        assert all(choice.first_won == (choice.first == "Alpha") for choice in made_choices)


def test_every_label_carries_the_version_of_its_question(sqlite: RatingDatabase) -> None:
    made = study_with(sqlite, [talk(1)])
    rate_all(sqlite, join(sqlite, made.id, "ana").id)
    with sqlite.reading() as session:
        assert set(session.scalars(select(AssignmentRow.form))) == {FORM}


def test_a_study_is_deleted_with_all_that_hangs_on_it(database: RatingDatabase) -> None:
    made = study_with(database, [talk(1)])
    ana = join(database, made.id, "ana").id
    rate_all(database, ana)
    delete_study(database, made.id)
    assert studies(database) == []
    with database.reading() as session:
        assert session.scalars(select(AssignmentRow.id)).all() == []
    with pytest.raises(UserError):
        next_task(database, ana)


def test_names_and_settings_that_cannot_be_are_told(sqlite: RatingDatabase) -> None:
    made = create_study(sqlite, "taken", Kind.STATIC, PLAIN)
    for wrong in (replace(PLAIN, raters_per_item=0), replace(PLAIN, extras=("nice",)), replace(PLAIN, lease_s=1)):
        with pytest.raises(UserError):
            create_study(sqlite, "new", Kind.STATIC, wrong)
    with pytest.raises(UserError, match="already"):
        create_study(sqlite, "taken", Kind.STATIC, PLAIN)
    with pytest.raises(UnknownName, match="taken"):
        study_named(sqlite, "takne")
    with pytest.raises(UserError):
        join(sqlite, made.id, "  ")
    with pytest.raises(UnknownName):
        join(sqlite, made.id, "x", kind="robot")


def test_settings_survive_the_database(sqlite: RatingDatabase) -> None:
    wanted = StudySettings(extras=("safe",), turns=(2, 4), instructions={"en": "Be kind."})
    made = create_study(sqlite, "one", Kind.INTERACTIVE, wanted)
    assert study(sqlite, made.id).settings == wanted


def test_ratings_of_a_newer_version_are_refused(sqlite: RatingDatabase) -> None:
    with sqlite.writing() as session:
        session.get_one(NoteRow, "schema").value = "999"
    with pytest.raises(UserError, match="another version"):
        open_ratings(sqlite.url.render_as_string(hide_password=False))
    with pytest.raises(UserError, match="database"):
        open_ratings("memory:")


def test_a_restart_keeps_labels_leases_and_the_signing_key(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(2)])
    ana = join(database, made.id, "ana").id
    first = next_task(database, ana)
    assert first
    held = answer(database, ana, first.item_id, YES)
    with opened(database.url.render_as_string(hide_password=False)) as again:
        assert again.signing_key == database.signing_key
        assert next_task(again, ana) == held
        assert progress(again, ana).done == 1


def crowd(database: RatingDatabase, made: Study, people: int) -> None:
    """So many raters at once, with double clicks, skips and undos; nothing may be lost or doubled."""
    ids = [join(database, made.id, f"rater {i}").id for i in range(people)]
    start = threading.Barrier(people)
    given: dict[int, set[int]] = {}

    def work(rater_id: int) -> None:
        mine: set[int] = set()
        start.wait()
        task: Task | None = next_task(database, rater_id)
        clicks = 0
        while task is not None:
            clicks += 1
            labels = Answer(1 + (task.item_id + rater_id) % 3).labels()
            if clicks % 11 == 5:
                following = answer(database, rater_id, task.item_id, labels)
                assert undo(database, rater_id) == task, "undo gives the same item back"
                del following
            if clicks % 7 == 3:
                answer(database, rater_id, task.item_id, labels)  # a double click
            mine.add(task.item_id)
            task = answer(database, rater_id, task.item_id, labels)
        given[rater_id] = mine

    with ThreadPoolExecutor(people) as pool:
        for done in [pool.submit(work, rater_id) for rater_id in ids]:
            done.result()
    with database.reading() as session:
        rows = session.execute(select(AssignmentRow.item_id, AssignmentRow.rater_id, AssignmentRow.labels)).all()
        items = session.scalars(select(ItemRow)).all()
        leased = session.scalars(select(AssignmentRow.id).where(AssignmentRow.state == State.LEASED)).all()
    assert leased == []
    assert {(i, r) for i, r, _ in rows} == {(i, r) for r, mine in given.items() for i in mine}
    assert len(rows) == len(items) * made.settings.raters_per_item
    assert all(item.taken == item.wanted for item in items)
    assert all(labels == Answer(1 + (i + r) % 3).labels() for i, r, labels in rows)
    assert len(raters(database, made.id)) == people


def test_a_crowd_at_once_loses_and_doubles_nothing(database: RatingDatabase) -> None:
    made = study_with(database, [talk(i) for i in range(12)], replace(PLAIN, raters_per_item=5))
    crowd(database, made, 20)
