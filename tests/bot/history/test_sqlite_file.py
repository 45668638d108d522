"""What the SQLite file promises: durable, private, rid of what was forgotten, and clear about what is wrong with it."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import event
from sqlalchemy.pool import Pool

from bot.exchange import Feedback
from bot.history import connect
from bot.history.database import check
from bot.history.opening import open_store
from bot.history.store import HistoryStore
from dialogue.errors import StorageError, UserError
from dialogue.turns import ConversationKey, PersonKey
from tests.bot.history.makers import ANN, BEN, ELSEWHERE, HERE, KEY, exchange, open_sqlite, sqlite_url, texts

SECRET = b"xylophone-of-ann"


def _bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def _fill(store: HistoryStore, seed: int) -> None:
    """A busy history in which people come and go and ids have no order, so that SQLite moves rows between pages."""
    random = Random(seed)
    people = [ANN, *(PersonKey("discord", str(number)) for number in range(8))]
    for number in range(150):
        person = random.choice(people)
        word = SECRET.decode() if person == ANN else "harmless"
        text = f"{word} {number} " + "la " * int(random.expovariate(1 / 30))
        message_id = f"{random.random()}{word}" + "x" * random.randrange(100)
        store.append(HERE, exchange(text, text, person=person, message_id=message_id, candidates=(text,)))
        if random.random() < 0.03:
            store.forget(random.choice(people[1:]))


@pytest.mark.parametrize("seed", [1, 7])
def test_after_forget_no_byte_of_a_persons_words_is_left_on_disk(tmp_path: Path, seed: int) -> None:
    """With seed 7 and nothing but ``secure_delete``, SQLite 3.40 leaves a message id in a page it moved rows from."""
    store = open_sqlite(tmp_path)
    _fill(store, seed)
    _, said = store.append(HERE, exchange(person=BEN))
    store.feedback(Feedback(said, ANN, f"{SECRET.decode()} label", 1, "v1"))
    store.put_settings(ANN, {"nickname": SECRET.decode()})
    assert SECRET in _bytes(tmp_path)
    store.forget(ANN)
    assert SECRET not in _bytes(tmp_path)
    assert b"harmless" in _bytes(tmp_path)
    store.close()
    assert SECRET not in _bytes(tmp_path)


def test_retention_and_leaving_a_server_leave_no_bytes_either(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange(SECRET.decode(), minute=0))
    store.append(ELSEWHERE, exchange("kept", minute=60))
    store.erase("discord", "guild1/")
    assert SECRET not in _bytes(tmp_path) and b"kept" in _bytes(tmp_path)


def test_bytes_that_a_reader_kept_from_being_overwritten_go_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connect, "BUSY_TIMEOUT_S", 0.1)
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange(SECRET.decode()))
    with closing(sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM turns").fetchone()
        assert store.forget(ANN).counts["turns"] == 2
        assert "in use" in caplog.text
        assert texts(store) == []
        store.close()
    open_sqlite(tmp_path).close()
    assert SECRET not in _bytes(tmp_path)


def test_forget_removes_automatic_backups_and_says_so(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange(SECRET.decode()))
    copy = tmp_path / "history.sqlite3.before-0002"
    copy.write_bytes(SECRET)
    assert store.forget(ANN).counts["backups"] == 1
    assert not copy.exists()


def test_people_appear_in_the_file_only_as_a_keyed_hash(tmp_path: Path) -> None:
    person = PersonKey("discord", "81384788765712384")
    store = open_sqlite(tmp_path)
    store.append(ConversationKey("discord", "guild/channel"), exchange(person=ANN))
    _, said = store.append(HERE, exchange(person=PersonKey("discord", "nobody")))
    store.feedback(Feedback(said, person, "thumb", 1, "v1"))
    store.put_settings(person, {"consent": True})
    store.close()
    assert person.name.encode() not in _bytes(tmp_path)


def test_the_files_are_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "chinwag"
    store = open_store(sqlite_url(folder))
    store.append(HERE, exchange())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert set(modes.values()) == {0o600} and {"history.sqlite3", "history.sqlite3.key"} <= modes.keys()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.close()


def test_every_commit_is_on_disk_and_foreign_keys_hold(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    found: list[tuple[object, ...]] = []

    def look(connection: sqlite3.Connection, *_: object) -> None:
        names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys")
        found.append(tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names))

    event.listen(Pool, "checkout", look)
    try:
        store.append(HERE, exchange())
    finally:
        event.remove(Pool, "checkout", look)
        store.close()
    assert set(found) == {("wal", 2, 1, 1)}


KILLED = """
import os, sys
from bot.history.opening import open_store
from tests.bot.history.makers import HERE, KEY, exchange
store = open_store(sys.argv[1], person_key=KEY)
for number in range(10_000):
    store.append(HERE, exchange(f"heard {number}", f"said {number}"))
    os.write(1, b"%d\\n" % number)
"""


def test_whatever_was_shown_before_the_process_was_killed_is_in_the_history(tmp_path: Path) -> None:
    shown = -1
    for _ in range(3):
        command = [sys.executable, "-c", KILLED, sqlite_url(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(20)]
            process.kill()
            lines += process.stdout.read().splitlines()
        shown = int(lines[-1])
        store = open_sqlite(tmp_path)
        kept = [text for text in texts(store, last=10_000) if text.startswith("said")]
        assert f"said {shown}" in kept and kept[0] == "said 0"
        store.reset(HERE)
        store.close()
    assert shown >= 19


SEVERAL = """
import sys
from bot.history.opening import open_store
from bot.history.store import AlreadyAnswered
from tests.bot.history.makers import HERE, KEY, exchange
store = open_store(sys.argv[1], person_key=KEY)
for number in range(25):
    store.append(HERE, exchange(f"{sys.argv[2]} {number}"))
    try:
        store.append(HERE, exchange(f"shared {number}", message_id=f"m{number}"))
    except AlreadyAnswered:
        pass
store.close()
"""


def test_several_processes_make_and_share_one_file_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SEVERAL, sqlite_url(tmp_path)]
    root = Path(__file__).parents[3]
    running = [subprocess.Popen([*command, str(name)], cwd=root, stderr=subprocess.PIPE) for name in range(3)]
    for process in running:
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()
    store = open_sqlite(tmp_path)
    heard = [text for text in texts(store, last=1000) if text != "Hello there."]
    store.close()
    assert sorted(text for text in heard if text.startswith("shared")) == sorted(f"shared {n}" for n in range(25))
    for name in range(3):
        assert [text for text in heard if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(25)]


def test_a_locked_database_is_said_so_and_works_again_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "BUSY_TIMEOUT_S", 0.1)
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange("before"))
    with closing(sqlite3.connect(tmp_path / "history.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program"):
            store.append(HERE, exchange("during"))
        assert texts(store) == ["before", "Hello there."]
    store.append(HERE, exchange("after"))
    assert texts(store)[::2] == ["before", "after"]
    store.close()


def test_a_full_disk_is_said_so_and_loses_nothing_stored_before(tmp_path: Path) -> None:
    def small(connection: sqlite3.Connection, *_: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    store = open_sqlite(tmp_path)
    store.append(HERE, exchange("before"))
    event.listen(Pool, "checkout", small)
    try:
        with pytest.raises(StorageError, match=r"disk is full.*stored before is safe") as full:
            store.append(HERE, exchange("x" * 500_000))
    finally:
        event.remove(Pool, "checkout", small)
        store.close()
    assert full.value.__cause__ is None and full.value.__suppress_context__
    again = open_sqlite(tmp_path)
    assert texts(again) == ["before", "Hello there."]
    assert check(sqlite_url(tmp_path)).problems == ()
    again.append(HERE, exchange("after"))
    again.close()


@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_deleted_or_replaced_while_in_use_is_noticed_instead_of_writing_into_nothing(
    tmp_path: Path, replaced: bool
) -> None:
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange())
    (tmp_path / "history.sqlite3").rename(tmp_path / "moved")
    if replaced:
        (tmp_path / "history.sqlite3").touch()
    with pytest.raises(StorageError, match="moved or deleted while in use"):
        store.append(HERE, exchange())
    store.close()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite3"
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(StorageError, match="is not a chinwag database"):
        open_sqlite(tmp_path)
    assert path.read_bytes() == b"Dear diary, " * 1000


def test_a_damaged_database_is_said_so(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path)
    for number in range(60):
        store.append(HERE, exchange(f"{number} " * 150))
    store.close()
    path = tmp_path / "history.sqlite3"
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + Random(5).randbytes(len(whole) - 8192))
    with pytest.raises(StorageError, match="damaged"):
        store = open_sqlite(tmp_path)
        texts(store)
    assert path.stat().st_size == len(whole)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "history.sqlite3")) as other:
        other.execute("CREATE TABLE people (name TEXT)")
    with pytest.raises(UserError, match="tables of another program"):
        open_sqlite(tmp_path)


def test_a_folder_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="cannot be opened for writing"):
        open_sqlite(tmp_path / "file" / "below")
    (tmp_path / "history.sqlite3").mkdir()
    with pytest.raises(StorageError, match="cannot be opened for writing"):
        open_sqlite(tmp_path)


AS_NOBODY = """
import os, sys
from bot.history.opening import open_store
from dialogue.errors import StorageError
from tests.bot.history.makers import HERE, KEY, exchange
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    open_store(sys.argv[1], person_key=KEY).append(HERE, exchange())
except StorageError as error:
    print(error)
"""


@pytest.mark.parametrize("file_exists", [True, False])
def test_a_read_only_folder_is_said_so(tmp_path: Path, file_exists: bool) -> None:
    if file_exists:
        open_sqlite(tmp_path).close()
        (tmp_path / "history.sqlite3").chmod(0o444)
    (tmp_path).chmod(0o555)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    try:
        root = Path(__file__).parents[3]
        command = [sys.executable, "-c", AS_NOBODY, sqlite_url(tmp_path)]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    finally:
        tmp_path.chmod(0o755)
    assert "cannot be opened for writing: Permission denied" in done.stdout


def test_neither_log_nor_error_ever_quotes_what_was_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = open_sqlite(tmp_path)
    store.append(HERE, exchange(SECRET.decode(), message_id="m1"))
    with closing(sqlite3.connect(tmp_path / "history.sqlite3")) as other:
        other.execute("DROP TABLE candidates")
    with pytest.raises(StorageError) as failed:
        store.append(HERE, exchange(SECRET.decode(), SECRET.decode(), candidates=(SECRET.decode(),)))
    store.close()
    assert SECRET.decode() not in caplog.text + repr(failed.value)
    assert failed.value.__suppress_context__


@pytest.mark.parametrize(
    "url",
    [
        "",
        "history.db",
        "mysql://localhost/x",
        "sqlite://host",
        "postgresql://u:secret@host",
        "http://[",
        "sqlite+x:///a",
    ],
)
def test_a_wrong_address_is_refused_with_examples_and_without_its_password(url: str) -> None:
    with pytest.raises(UserError, match="sqlite:////full/path") as refused:
        open_store(url, person_key=KEY)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_history_can_be_kept_in_memory_only(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store(url)
    store.append(HERE, exchange())
    assert len(texts(store)) == 2 and list(tmp_path.iterdir()) == []


def test_a_history_survives_a_restart(tmp_path: Path) -> None:
    first = open_store(sqlite_url(tmp_path))
    first.append(HERE, exchange("remember me"))
    first.set_persona(HERE, "lena")
    first.close()
    second = open_store(sqlite_url(tmp_path))
    assert texts(second) == ["remember me", "Hello there."]
    assert second.load(HERE, last=1).persona == "lena"
    assert second.forget(ANN).counts["turns"] == 2
    second.close()


@pytest.mark.skipif(os.name != "posix", reason="relative paths with a percent sign and spaces, as POSIX has them")
def test_folders_with_odd_names_work(tmp_path: Path) -> None:
    folder = tmp_path / "100% my data #1"
    store = open_sqlite(folder)
    store.append(HERE, exchange())
    store.close()
    assert check(sqlite_url(folder)).rows["turns"] == 2


WRITER = """
import os, subprocess, sys
from bot.history.opening import open_store
from tests.bot.history.makers import ELSEWHERE, HERE, KEY, exchange
url = sys.argv[1]
if len(sys.argv) > 2:
    store = open_store(url, person_key=KEY)
    store.append(ELSEWHERE, exchange("by the other program"))
    store.erase(ELSEWHERE.door, ELSEWHERE.place)
    store.close()
else:
    store = open_store(url, person_key=KEY)
    open_store(url, person_key=KEY).close()
    store.append(HERE, exchange("before"))
    subprocess.run([sys.executable, "-c", SCRIPT, url, "other"], check=True)
    assert store.load(ELSEWHERE, last=9).turns == ()
    store.append(HERE, exchange("after"))
    os._exit(0)
"""


def test_a_program_that_is_killed_loses_no_turn_also_where_another_used_the_file_meanwhile(tmp_path: Path) -> None:
    """On a new file and on one that is there already: SQLite's locks must outlive every look at the file."""
    root = Path(__file__).parents[3]
    script = f"SCRIPT = {WRITER!r}\n{WRITER}"
    for kept in (["before", "after"], ["before", "after"] * 2):
        subprocess.run([sys.executable, "-c", script, sqlite_url(tmp_path)], cwd=root, check=True)
        store = open_sqlite(tmp_path)
        assert [turn.text for turn in store.load(HERE, last=9).turns][::2] == kept
        store.close()
