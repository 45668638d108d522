"""What only a server can do: go away, come back, refuse, and be shared by several processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bot.history.database import upgrade
from bot.history.opening import open_store
from bot.history.store import HistoryStore
from dialogue.errors import DeadlineExceeded, StorageError, UserError
from tests.bot.history.makers import ELSEWHERE, HERE, KEY, exchange, postgres_url, texts
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres
ROOT = Path(__file__).parents[3]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres_url(postgres)


@pytest.fixture
def store(url: str) -> Iterator[HistoryStore]:
    opened = open_store(url, person_key=KEY)
    yield opened
    opened.close()


def test_the_history_fails_clearly_while_the_server_is_gone_and_works_when_it_is_back(
    postgres: PostgresServer, store: HistoryStore
) -> None:
    store.append(HERE, exchange("before", message_id="m1"))
    held = store.lock(ELSEWHERE, timeout_s=60)
    held.__enter__()
    postgres.stop("immediate")
    try:
        with pytest.raises(StorageError, match=r"out of reach|shutting down"):
            store.append(HERE, exchange("during"))
        with pytest.raises(StorageError, match=r"out of reach|shutting down"), store.lock(HERE, timeout_s=1):
            pass
    finally:
        postgres.start()
    held.__exit__(None, None, None)
    with store.lock(ELSEWHERE, timeout_s=60), store.lock(HERE, timeout_s=60):
        store.append(HERE, exchange("after"))
    assert texts(store)[::2] == ["before", "after"]
    assert store.answered(HERE, "m1") is not None


def test_connections_cut_by_the_server_are_replaced_without_an_error(
    postgres: PostgresServer, store: HistoryStore
) -> None:
    store.append(HERE, exchange("before"))
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chinwag'")
    store.append(HERE, exchange("after"))
    with store.lock(HERE, timeout_s=60):
        assert len(texts(store)) == 4


def test_a_wrong_password_or_database_is_the_persons_to_put_right(postgres: PostgresServer) -> None:
    wrong = postgres.url("postgres").replace(postgres.password, "hunter2")
    with pytest.raises(UserError, match="does not exist on the server"):
        open_store(postgres.url("no_such_database"), person_key=KEY)
    with pytest.raises(UserError, match="refuses this user or password") as refused:
        open_store(wrong, person_key=KEY)
    assert "hunter2" not in str(refused.value)


def test_no_server_at_all_is_said_so() -> None:
    with pytest.raises(StorageError, match="out of reach; check that the server runs"):
        open_store("postgresql://u:secret@127.0.0.1:1/x", person_key=KEY)
    with pytest.raises(StorageError, match="out of reach"):
        upgrade("postgres://u:secret@127.0.0.1:1/x")


def test_postgres_needs_the_key_by_setting(url: str) -> None:
    with pytest.raises(UserError, match="needs CHINWAG_PERSON_KEY"):
        open_store(url)


HOLDER = """
import sys, time
from bot.history.opening import open_store
from tests.bot.history.makers import HERE, KEY
store = open_store(sys.argv[1], person_key=KEY)
with store.lock(HERE, timeout_s=60):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_against_other_processes_and_let_go_when_its_holder_is_killed(
    url: str, store: HistoryStore
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, url], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        with pytest.raises(DeadlineExceeded), store.lock(HERE, timeout_s=0.2):
            pass
        with store.lock(ELSEWHERE, timeout_s=60):
            pass
        process.kill()
    with store.lock(HERE, timeout_s=60):
        pass


ORDERED = """
import sys
from bot.history.opening import open_store
from tests.bot.history.makers import HERE, KEY, exchange
store = open_store(sys.argv[1], person_key=KEY)
for number in range(15):
    with store.lock(HERE, timeout_s=120):
        seen = len(store.load(HERE, last=1000).turns)
        store.append(HERE, exchange(f"{seen}", message_id=f"{sys.argv[2]} {number}"))
store.close()
"""


def test_processes_that_take_the_lock_each_see_all_that_was_said_before(url: str, store: HistoryStore) -> None:
    command = [sys.executable, "-c", ORDERED, url]
    running = [subprocess.Popen([*command, str(name)], cwd=ROOT) for name in range(2)]
    assert [process.wait(timeout=200) for process in running] == [0, 0]
    assert texts(store, last=1000)[::2] == [str(2 * number) for number in range(30)]


def test_two_programs_upgrade_one_database_without_harm(postgres: PostgresServer) -> None:
    url = postgres.new_database()
    script = "import sys; from bot.history.database import upgrade; print(upgrade(sys.argv[1]).after)"
    command = [sys.executable, "-c", script, url]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    for process in running:
        out, errors = process.communicate(timeout=200)
        assert (process.returncode, out.strip()) == (0, b"0002"), errors.decode()


def test_waiting_for_locks_takes_one_connection_however_many_wait(
    postgres: PostgresServer, store: HistoryStore
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from dialogue.turns import ConversationKey

    def hold(number: int) -> int:
        with store.lock(ConversationKey("many", str(number)), timeout_s=120):
            time.sleep(0.2)
            return number

    with ThreadPoolExecutor(40) as pool, psycopg.connect(postgres.url("postgres")) as admin:
        running = pool.map(hold, range(40))
        time.sleep(0.1)
        counted = admin.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chinwag'").fetchone()
        assert sorted(running) == list(range(40))
    assert counted is not None and counted[0] <= 3
