"""Ledgers for tests, each on SQLite and on a PostgreSQL server that runs as long as the tests."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from ports import free_port

from activelabel.store.ledger import Ledger
from activelabel.store.location import sqlite_url
from activelabel.store.schema import Base

POSTGRESQL_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PASSWORD = "do-not-show-this"


class Clock:
    """A clock that stands still until a test advances it by minutes."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a server, without a database, for a superuser."""
    if not POSTGRESQL_BINARIES:
        pytest.skip("PostgreSQL is not installed: no /usr/lib/postgresql/*/bin")
    binaries = POSTGRESQL_BINARIES[-1]
    # Not under pytest's own folder: the server refuses to run as root, and another user cannot enter that one.
    folder = Path(tempfile.mkdtemp(prefix="activelabel-postgresql-"))
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(folder, user, user)
    password_file = folder / "password"
    password_file.write_text(PASSWORD)
    password_file.chmod(0o644)
    initdb = [binaries / "initdb", "-D", folder / "data", "-U", "tester", "--pwfile", password_file, "--no-sync"]
    # The server sorts as a dictionary does, and the ledger must still order by code point.
    language = ["--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]
    subprocess.run([*initdb, "-A", "scram-sha-256", *language], user=user, check=True, capture_output=True, cwd=folder)
    port = free_port()
    settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "shared_buffers=16MB"]
    # Data lost in a power cut do not matter here.
    settings += ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
    command = [binaries / "postgres", "-D", folder / "data", "-p", str(port)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *(part for setting in settings for part in ("-c", setting))],
            user=user, cwd=folder, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        url = f"postgresql://tester:{PASSWORD}@127.0.0.1:{port}"
        _wait_until_it_answers(f"{url}/postgres", folder / "log")
        yield url
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(timeout=30)
        shutil.rmtree(folder)


def _wait_until_it_answers(url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(log.read_text()) from error
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def administrator(postgresql_server: str) -> Iterator[psycopg.Connection]:
    """A connection that creates and drops databases."""
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        yield connection


@pytest.fixture
def new_postgresql(postgresql_server: str, administrator: psycopg.Connection) -> Iterator[Callable[..., str]]:
    """Make a database, empty unless a template is named, and return its URL. All are dropped at the end."""
    names: list[str] = []

    def make(options: str = "") -> str:
        names.append(f"ledger_{secrets.token_hex(6)}")
        administrator.execute(f'CREATE DATABASE "{names[-1]}" STRATEGY file_copy {options}')
        return f"{postgresql_server}/{names[-1]}"

    yield make
    for name in names:
        administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "ledger.sqlite")
    make: Callable[..., str] = request.getfixturevalue("new_postgresql")
    return make()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of a ledger; a copy of it is quicker than a migration for every test."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    ledger = Ledger(sqlite_url(path))
    ledger.open()
    ledger.close()
    return path


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server: str, administrator: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection to a database with the tables of a ledger; to empty it is quicker than a database for every test."""
    administrator.execute("CREATE DATABASE shared_ledger")
    url = f"{postgresql_server}/shared_ledger"
    ledger = Ledger(url)
    ledger.open()
    ledger.close()
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger without events."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("empty_sqlite"), tmp_path / "ledger.sqlite")
        return sqlite_url(tmp_path / "ledger.sqlite")
    shared: psycopg.Connection = request.getfixturevalue("shared_postgresql")
    for table in reversed(Base.metadata.sorted_tables):
        shared.execute(f"DELETE FROM {table.name}")  # noqa: S608
    for table in ("annotations", "leases"):
        shared.execute(f"ALTER SEQUENCE {table}_id_seq RESTART")
    return f"{request.getfixturevalue('postgresql_server')}/shared_ledger"


@pytest.fixture
def ledger(empty_url: str, clock: Clock) -> Iterator[Ledger]:
    """An empty ledger whose time is that of `clock`."""
    ledger = Ledger(empty_url, clock)
    yield ledger
    ledger.close()


@pytest.fixture
def study(ledger: Ledger) -> Ledger:
    """A ledger of the images a to f, all for training, without a model."""
    ledger.sync_images("abcdef", validation_cases=0)
    return ledger
