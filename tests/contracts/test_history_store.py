"""What every history store promises: the one in memory, on SQLite and on a real PostgreSQL server."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.exchange import Feedback
from bot.history import erasure
from bot.history.opening import open_store
from bot.history.store import OWN_SCOPE, AlreadyAnswered, HistoryStore
from dialogue.candidates import Candidate, Hypothesis
from dialogue.errors import DeadlineExceeded, UserError
from dialogue.turns import ConversationKey, PersonKey, Role, Turn
from tests.bot.history.makers import (
    ANN,
    BEN,
    ELSEWHERE,
    HERE,
    KEY,
    START,
    candidate,
    exchange,
    open_sqlite,
    postgres_url,
    texts,
)

WITH_POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)


@pytest.fixture(params=["memory", "sqlite", WITH_POSTGRES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HistoryStore]:
    opened = _open(request, tmp_path)
    yield opened
    opened.close()


def _open(request: pytest.FixtureRequest, folder: Path) -> HistoryStore:
    if request.param == "memory":
        return open_store("memory:", person_key=KEY)
    if request.param == "sqlite":
        return open_sqlite(folder)
    return open_store(postgres_url(request.getfixturevalue("postgres")), person_key=KEY)


def test_a_conversation_nobody_wrote_in_is_empty(store: HistoryStore) -> None:
    assert store.load(HERE, last=10).turns == ()
    assert store.load(HERE, last=10).persona is None
    assert store.why(HERE) is None


def test_what_was_appended_is_loaded_oldest_first(store: HistoryStore) -> None:
    ids = store.append(HERE, exchange("one", "two")) + store.append(HERE, exchange("three", "four", person=BEN))
    assert ids == sorted(set(ids)) and len(ids) == 4
    assert store.load(HERE, last=10).turns == (
        Turn(Role.USER, "one", "user 1001", START),
        Turn(Role.BOT, "two", None, START + timedelta(seconds=2)),
        Turn(Role.USER, "three", "user 1002", START),
        Turn(Role.BOT, "four", None, START + timedelta(seconds=2)),
    )


def test_conversations_are_kept_apart(store: HistoryStore) -> None:
    store.append(HERE, exchange("here"))
    store.append(ELSEWHERE, exchange("there"))
    store.append(ConversationKey("terminal", HERE.place), exchange("same place, another door"))
    assert texts(store) == ["here", "Hello there."]


@pytest.mark.parametrize("last", [0, 1, 2, 3, 4, 5, 6, 7])
def test_only_the_newest_turns_are_loaded(store: HistoryStore, last: int) -> None:
    for number in range(3):
        store.append(HERE, exchange(f"heard {number}", f"said {number}"))
    every = [f"{kind} {number}" for number in range(3) for kind in ("heard", "said")]
    assert texts(store, last=last) == (every[-last:] if last else [])


def test_a_reset_begins_a_new_episode_and_keeps_the_persona_and_the_old_turns(store: HistoryStore) -> None:
    store.set_persona(HERE, "lena")
    old = store.append(HERE, exchange("before"))
    store.reset(HERE)
    assert store.load(HERE, last=10).turns == ()
    assert store.load(HERE, last=10).persona == "lena"
    assert store.why(HERE) is None
    store.append(HERE, exchange("after"))
    assert texts(store) == ["after", "Hello there."]
    record = store.record(old[0])
    assert record is not None and record.heard.text == "before"


def test_a_persona_is_chosen_per_conversation_and_can_be_unchosen(store: HistoryStore) -> None:
    store.set_persona(HERE, "lena")
    assert (store.load(HERE, last=1).persona, store.load(ELSEWHERE, last=1).persona) == ("lena", None)
    store.set_persona(HERE, None)
    assert store.load(HERE, last=1).persona is None


def test_a_message_delivered_twice_has_one_answer(store: HistoryStore) -> None:
    ids = store.append(HERE, exchange("Hi!", "first", message_id="m1"))
    with pytest.raises(AlreadyAnswered) as again:
        store.append(HERE, exchange("Hi!", "second", message_id="m1"))
    assert (again.value.reply.turn.text, again.value.reply.turn_id) == ("first", ids[1])
    assert texts(store) == ["Hi!", "first"]
    found = store.answered(HERE, "m1")
    assert found is not None and found == again.value.reply


def test_message_ids_count_within_their_conversation_only(store: HistoryStore) -> None:
    store.append(HERE, exchange(message_id="m1"))
    assert store.answered(ELSEWHERE, "m1") is None
    store.append(ELSEWHERE, exchange(message_id="m1"))
    store.append(HERE, exchange(message_id=None))
    store.append(HERE, exchange(message_id=None))
    assert len(texts(store)) == 6


def test_a_known_message_stays_answered_after_a_reset(store: HistoryStore) -> None:
    store.append(HERE, exchange(message_id="m1"))
    store.reset(HERE)
    assert store.answered(HERE, "m1") is not None


def test_why_tells_the_last_exchange_with_candidates_and_verdicts(store: HistoryStore) -> None:
    store.append(HERE, exchange("earlier"))
    told = replace(exchange("Hi!", "Hey.", candidates=("Hey.", "Oh hi.")), message_id="m9")
    ids = store.append(HERE, told)
    record = store.why(HERE)
    assert record is not None
    assert (record.heard, record.heard_id, record.reply.turn, record.reply.turn_id) == (
        told.heard,
        ids[0],
        told.said,
        ids[1],
    )
    assert (record.reply.verdict_in, record.reply.verdict_out) == (told.verdict_in, told.verdict_out)
    assert (record.reply.source, record.model, record.persona) == (told.source, told.model, told.persona)
    assert (record.message_id, dict(record.reply.seconds)) == ("m9", dict(told.seconds))
    assert [one.text for one in record.reply.candidates] == ["Hey.", "Oh hi."]
    assert record.reply.candidates[0].features == told.candidates[0].features
    assert record == store.record(ids[0]) == store.record(ids[1])


def test_token_ids_are_not_stored_because_they_would_undo_the_masking(store: HistoryStore) -> None:
    store.append(HERE, exchange(candidates=("masked",)))
    record = store.why(HERE)
    assert record is not None
    assert record.reply.candidates[0].hypothesis == Hypothesis((), -3.0, -1.5, True)


def test_numbers_that_are_none_come_back_as_they_were(store: HistoryStore) -> None:
    odd = Candidate("odd", Hypothesis((), -math.inf, math.nan, False), {"a": math.nan, "b": -math.inf}, "empty")
    store.append(HERE, replace(exchange(), candidates=(odd,)))
    record = store.why(HERE)
    assert record is not None
    back = record.reply.candidates[0]
    assert back.hypothesis.log_prob == -math.inf and math.isnan(back.hypothesis.score)
    assert math.isnan(back.features["a"]) and back.features["b"] == -math.inf
    assert (back.hypothesis.finished, back.dropped_by) == (False, "empty")


def test_a_transcript_ends_with_its_turn_and_stays_within_its_episode(store: HistoryStore) -> None:
    store.append(HERE, exchange("old"))
    store.reset(HERE)
    store.append(HERE, exchange("one", "two"))
    store.append(ELSEWHERE, exchange("other"))
    heard, said = store.append(HERE, exchange("three", "four"))
    store.append(HERE, exchange("five", "six"))
    assert [turn.text for turn in store.transcript(said)] == ["one", "two", "three", "four"]
    assert [turn.text for turn in store.transcript(heard)] == ["one", "two", "three"]
    assert store.transcript(999_999) == ()
    assert store.record(999_999) is None


def test_a_delivered_message_leads_back_to_its_turn(store: HistoryStore) -> None:
    _, said = store.append(HERE, exchange())
    store.sent(HERE, said, ("900", "901"))
    assert [store.turn_sent_as(HERE, name) for name in ("900", "901", "902")] == [said, said, None]
    assert store.turn_sent_as(ELSEWHERE, "900") is None
    with pytest.raises(UserError):
        store.sent(HERE, 999_999, ("903",))


def test_a_rating_is_stored_with_its_form_and_replaced_by_the_next(store: HistoryStore) -> None:
    _, said = store.append(HERE, exchange())
    store.feedback(Feedback(said, ANN, "sensible", 0, "v1", START))
    store.feedback(Feedback(said, ANN, "sensible", 1, "v2", START))
    store.feedback(Feedback(said, BEN, "sensible", 0, "v2", START))
    store.feedback(Feedback(said, BEN, "specific", 0, "v1", START))
    every = store.ratings()
    assert sorted((one.label, one.value, one.form) for one in every) == [
        ("sensible", 0, "v2"),
        ("sensible", 1, "v2"),
        ("specific", 0, "v1"),
    ]
    assert len({one.rater for one in every}) == 2
    assert {one.given_at for one in every} == {START}
    assert [one.label for one in store.ratings(form="v1")] == ["specific"]


def test_a_rating_needs_a_turn(store: HistoryStore) -> None:
    with pytest.raises(UserError, match="no stored turn number 12345"):
        store.feedback(Feedback(12345, ANN, "sensible", 1, "v1"))


def test_a_rating_can_be_taken_back(store: HistoryStore) -> None:
    _, said = store.append(HERE, exchange())
    store.feedback(Feedback(said, ANN, "thumb", 1, "v1"))
    assert not store.withdraw(said, BEN, "thumb")
    assert store.withdraw(said, ANN, "thumb")
    assert not store.withdraw(said, ANN, "thumb")
    assert store.ratings() == ()


def test_forget_removes_a_person_and_the_answers_to_them_but_nobody_else(store: HistoryStore) -> None:
    _, said = store.append(HERE, exchange("Ann speaks", "to Ann", candidates=("to Ann", "or so"), message_id="a"))
    store.append(HERE, exchange("Ben speaks", "to Ben", person=BEN, message_id="b"))
    store.append(ELSEWHERE, exchange("Ann alone"))
    store.feedback(Feedback(said, BEN, "thumb", 1, "v1"))
    store.put_settings(ANN, {"consent": True})
    counts = dict(store.forget(ANN).counts)
    counts.pop("backups", None)
    assert counts == {
        "turns": 4,
        "verdicts": 4,
        "candidates": 2,
        "ratings": 1,
        "conversations": 1,
        "settings": 1,
        "people": 1,
    }
    assert texts(store) == ["Ben speaks", "to Ben"]
    assert texts(store, ELSEWHERE) == []
    assert store.answered(HERE, "a") is None and store.answered(HERE, "b") is not None
    assert store.record(said) is None and store.ratings() == () and store.settings(ANN) == {}
    assert not any(store.export(ANN).data[part] for part in ("conversations", "ratings", "settings"))


def test_forget_removes_the_ratings_a_person_gave_to_others(store: HistoryStore) -> None:
    _, said = store.append(HERE, exchange(person=BEN))
    store.feedback(Feedback(said, ANN, "thumb", 1, "v1"))
    assert store.forget(ANN).counts["ratings"] == 1
    assert store.ratings() == () and len(texts(store)) == 2


def test_forgetting_somebody_unknown_removes_nothing_and_can_be_repeated(store: HistoryStore) -> None:
    store.append(HERE, exchange(person=BEN))
    assert not any(store.forget(ANN).counts.values())
    assert not any(store.forget(PersonKey("terminal", BEN.name)).counts.values())
    assert store.forget(BEN).counts["people"] == 1
    assert not any(store.forget(BEN).counts.values())


def test_ids_of_forgotten_turns_are_not_given_out_again(store: HistoryStore) -> None:
    gone = store.append(HERE, exchange())
    store.forget(ANN)
    assert min(store.append(HERE, exchange())) > max(gone)


def test_an_export_is_plain_json_and_holds_what_was_said(store: HistoryStore) -> None:
    _, said = store.append(HERE, exchange("my words", "my answer", candidates=("my answer", "another"), message_id="a"))
    store.append(HERE, exchange("not mine", person=BEN))
    store.feedback(Feedback(said, ANN, "thumb", 1, "v1", START))
    store.put_settings(ANN, {"consent": True})
    data = json.loads(json.dumps(store.export(ANN).data, allow_nan=False))
    (place,) = data["conversations"]
    (told,) = place["exchanges"]
    assert (place["door"], place["place"]) == ("discord", HERE.place)
    assert (told["you"]["text"], told["bot"]["text"], told["bot"]["id"]) == ("my words", "my answer", said)
    assert [one["text"] for one in told["candidates"]] == ["my answer", "another"]
    assert told["safety"]["heard"]["action"] == "mask"
    rating = {"turn": said, "label": "thumb", "value": 1, "form": "v1", "at": START.isoformat()}
    assert data["ratings"] == [rating]
    assert data["settings"] == {"consent": True}
    assert "not mine" not in json.dumps(data)


def test_retention_removes_what_is_older_and_only_that(store: HistoryStore) -> None:
    store.append(HERE, exchange("old", minute=0, candidates=("x",)))
    store.append(HERE, exchange("new", minute=60, person=BEN))
    store.append(ELSEWHERE, exchange("old too", minute=1))
    counts = store.purge(START + timedelta(minutes=30)).counts
    expected = {"turns": 4, "verdicts": 4, "candidates": 1, "ratings": 0, "conversations": 1, "people": 1}
    assert {name: counts[name] for name in expected} == expected
    assert texts(store) == ["new", "Hello there."]
    assert not any(store.purge(START + timedelta(minutes=30)).counts.values())


def test_retention_goes_through_more_than_one_batch(store: HistoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "_BATCH", 4)
    for number in range(10):
        store.append(HERE, exchange(str(number), minute=number))
    assert store.purge(START + timedelta(minutes=8)).counts["turns"] == 2 * 8
    assert texts(store)[::2] == ["8", "9"]


def test_leaving_a_server_erases_its_channels_only(store: HistoryStore) -> None:
    twin = ConversationKey("discord", "GUILD1/channel7")
    for key in (HERE, ELSEWHERE, twin, ConversationKey("http", HERE.place)):
        store.append(key, exchange())
    store.set_persona(ConversationKey("discord", "guild1/quiet"), "lena")
    counts = store.erase("discord", "guild1/").counts
    assert (counts["turns"], counts["conversations"]) == (2, 2)
    assert texts(store) == [] and len(texts(store, ELSEWHERE)) == len(texts(store, twin)) == 2
    assert store.load(ConversationKey("discord", "guild1/quiet"), last=1).persona is None


def test_a_prefix_is_no_pattern(store: HistoryStore) -> None:
    store.append(HERE, exchange())
    assert not any(store.erase("discord", "%").counts.values())
    assert not any(store.erase("discord", "guild_").counts.values())


def test_settings_are_json_by_name_and_none_removes_one(store: HistoryStore) -> None:
    values: dict[str, Any] = {"persona": "lena", "channels": [1, 2], "ratings": False, "limits": {"per_minute": 3}}
    store.put_settings("discord:server:1", values)
    assert store.settings("discord:server:1") == values
    store.put_settings("discord:server:1", {"persona": None, "channels": []})
    assert store.settings("discord:server:1") == {"channels": [], "ratings": False, "limits": {"per_minute": 3}}
    assert store.settings("discord:server:2") == {}
    store.clear_settings("discord:server:1")
    assert store.settings("discord:server:1") == {}


def test_settings_that_are_no_json_and_the_stores_own_are_refused(store: HistoryStore) -> None:
    with pytest.raises(UserError, match="plain JSON"):
        store.put_settings("s", {"when": START})
    with pytest.raises(UserError, match="plain JSON"):
        store.put_settings("s", {"much": math.inf})
    with pytest.raises(UserError, match="belongs to the store"):
        store.put_settings(OWN_SCOPE, {"person_key": "x"})
    with pytest.raises(UserError, match="belongs to the store"):
        store.clear_settings(OWN_SCOPE)


def test_very_long_ids_and_places_work_and_stay_apart(store: HistoryStore) -> None:
    long, longer = (ConversationKey("http", "x" * length) for length in (50_000, 50_001))
    store.append(long, exchange("long", message_id="y" * 50_000))
    store.append(longer, exchange("longer", message_id="y" * 50_000))
    assert (texts(store, long)[0], texts(store, longer)[0]) == ("long", "longer")
    with pytest.raises(AlreadyAnswered):
        store.append(long, exchange(message_id="y" * 50_000))
    store.append(long, exchange(message_id="y" * 50_001))


WORDS = st.text(st.characters(), max_size=60)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(heard=WORDS, said=WORDS, speaker=WORDS, place=WORDS, message=WORDS, feature=WORDS)
def test_any_text_can_be_stored_and_comes_back_the_same_but_for_what_no_database_keeps(
    store: HistoryStore, heard: str, said: str, speaker: str, place: str, message: str, feature: str
) -> None:
    key = ConversationKey("odd", f"{store.load(HERE, last=1)}{place}")
    told = exchange(heard, said, candidates=(said,))
    told = replace(told, heard=replace(told.heard, speaker=speaker))
    told = replace(told, candidates=(replace(told.candidates[0], features={feature: 1.0}),))
    store.append(key, told)
    turns = store.load(key, last=2).turns
    assert [turn.text for turn in turns] == [_clean(heard), _clean(said)]
    assert turns[0].speaker == _clean(speaker)
    with_id = replace(told, message_id=message)
    if store.answered(key, message) is None:
        store.append(key, with_id)
    with pytest.raises(AlreadyAnswered):
        store.append(key, with_id)


def _clean(text: str) -> str:
    return "".join(
        "\ufffd" if character == "\0" or "\ud800" <= character <= "\udfff" else character for character in text
    )


def test_a_message_of_a_megabyte_is_stored_whole(store: HistoryStore) -> None:
    store.append(HERE, exchange("é" * 1_000_000))
    assert len(texts(store)[0]) == 1_000_000


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_concurrent_appends_lose_and_double_nothing(store: HistoryStore, data: st.DataObject) -> None:
    """Every thread delivers some messages that others deliver too; each is stored once, in one order for all."""
    run = data.draw(st.uuids())
    key = ConversationKey("crowd", str(run))
    plans = data.draw(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=5), min_size=2, max_size=6))
    first, repeated, broken = [], [], []
    barrier = threading.Barrier(len(plans))

    def deliver(person: int, messages: list[int]) -> None:
        barrier.wait()
        for message in messages:
            who = PersonKey("crowd", str(person))
            told = exchange(
                f"m{message}", f"to m{message}", person=who, message_id=f"m{message}", candidates=("a", "b")
            )
            try:
                first.append((message, store.append(key, told)))
            except AlreadyAnswered as again:
                repeated.append((message, again.reply.turn_id))
            except BaseException as error:
                broken.append(error)

    threads = [threading.Thread(target=deliver, args=plan) for plan in enumerate(plans)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken == []
    wanted = {message for plan in plans for message in plan}
    assert sorted(message for message, _ in first) == sorted(wanted)
    assert {message: ids[1] for message, ids in first}.items() >= set(repeated)
    by_id = [message for message, _ in sorted(first, key=lambda one: one[1])]
    assert texts(store, key) == [text for message in by_id for text in (f"m{message}", f"to m{message}")]


def test_a_person_forgotten_in_the_middle_of_a_crowd_is_gone_and_nobody_else(store: HistoryStore) -> None:
    stop, broken = threading.Event(), []

    def talk(person: PersonKey) -> None:
        number = 0
        while not stop.is_set() and number < 60:
            number += 1
            try:
                _, said = store.append(HERE, exchange(f"{person.name} {number}", person=person))
                store.feedback(Feedback(said, person, "thumb", 1, "v1"))
            except UserError:  # the turn was forgotten before it could be rated
                continue
            except BaseException as error:
                broken.append(error)

    threads = [threading.Thread(target=talk, args=(person,)) for person in (ANN, BEN)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        store.forget(ANN)
        store.purge(START - timedelta(days=1))
    threads[1].join()
    stop.set()
    threads[0].join()
    store.forget(ANN)
    assert broken == []
    assert [text for text in texts(store, last=1000) if text != "Hello there."] == [f"1002 {n}" for n in range(1, 61)]
    assert len(store.ratings()) == 60


def test_a_lock_has_one_holder_per_conversation(store: HistoryStore) -> None:
    with store.lock(HERE, timeout_s=60):
        with pytest.raises(DeadlineExceeded) as late, store.lock(HERE, timeout_s=0.05):
            pass
        assert late.value.stage == "turnstile"
        with store.lock(ELSEWHERE, timeout_s=60):
            pass
    with store.lock(HERE, timeout_s=60):
        pass


def test_a_lock_may_be_entered_in_one_thread_and_left_in_another(store: HistoryStore) -> None:
    held = store.lock(HERE, timeout_s=60)
    for step in (held.__enter__, lambda: held.__exit__(None, None, None)):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    with store.lock(HERE, timeout_s=60):
        pass


def test_locked_sections_never_overlap(store: HistoryStore) -> None:
    inside, overlaps = [0], []

    def work() -> None:
        for _ in range(10):
            with store.lock(HERE, timeout_s=120):
                inside[0] += 1
                overlaps.append(inside[0])
                texts(store)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 60


def test_closing_twice_is_harmless(store: HistoryStore) -> None:
    store.append(HERE, replace(exchange(), candidates=(candidate("x", -1.0),)))
    store.close()
    store.close()
