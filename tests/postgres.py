"""A real PostgreSQL server for tests: a fresh cluster on loopback, run by an ordinary user, gone afterwards."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ports import lasting_port

MISSING = "no PostgreSQL server here (Debian: apt-get install postgresql)"

_USER = "chinwag"


@dataclass
class PostgresServer:
    """A running server; each database of a test is made from nothing and has a name of its own."""

    port: int
    binaries: Path
    folder: Path
    password: str
    shared: str | None = None

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{_USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> str:
        """The address of a new, empty database."""
        import psycopg

        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; "immediate" is what a crash looks like to its clients."""
        _run([self.binaries / "pg_ctl", "stop", "-D", self.folder / "data", "-m", mode, "-w"], self.folder)

    def start(self) -> None:
        """Start it (again)."""
        # Durability is switched off: these databases never outlive their test.
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=60"
        log = self.folder / "server.log"
        _run(
            [self.binaries / "pg_ctl", "start", "-D", self.folder / "data", "-w", "-l", log, "-o", options], self.folder
        )


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the whole test run; tests that ask for it are skipped where there is none."""
    pytest.importorskip("psycopg", reason="no PostgreSQL driver here (pip install 'chinwag[postgres]')")
    if binaries() is None:
        pytest.skip(MISSING)
    with postgres_server() as server:
        yield server


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl: the newest under Debian's path, else the one on PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: _version(path.parts[-3]))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server with an empty cluster, stopped and removed at the end."""
    where = binaries()
    if where is None:
        raise RuntimeError(MISSING)
    folder = Path(tempfile.mkdtemp(prefix="chinwag-pg-"))
    server = PostgresServer(lasting_port(), where, folder, secrets.token_hex(8))
    try:
        _make_cluster(server)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_cluster(server: PostgresServer) -> None:
    secret = server.folder / "password"
    secret.write_text(server.password + "\n")
    if user := _ordinary_user():
        for path in (server.folder, secret):
            shutil.chown(path, user)
    arguments = ["-U", _USER, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"]
    _run([server.binaries / "initdb", "-D", server.folder / "data", *arguments], server.folder)


def _run(command: list[Path | str], folder: Path) -> None:
    """Run one of PostgreSQL's tools, which refuse to work as root."""
    done = subprocess.run(
        [str(word) for word in command],
        user=_ordinary_user(),
        group=_ordinary_group(),
        extra_groups=[] if _ordinary_user() else None,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=(output := (folder / f"{Path(command[0]).name}.out").open("wb")),
        stderr=output,
        check=False,
        timeout=200,
    )
    output.close()
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {Path(output.name).read_text(errors='replace')}")


def _ordinary_user() -> str | None:
    """Whom to run the server as: None (ourselves) unless we are root."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _ordinary_group() -> int | None:
    user = _ordinary_user()
    return pwd.getpwnam(user).pw_gid if user else None


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", name)) or (0,)
