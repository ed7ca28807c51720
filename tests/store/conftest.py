"""Ledgers to test: each on SQLite and on a PostgreSQL server that lives as long as the tests."""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from postgresql_fixtures import administrator as administrator
from postgresql_fixtures import new_postgresql as new_postgresql
from postgresql_fixtures import postgresql_server as postgresql_server

from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger
from activelabel.store.schema.base import Base


class Clock:
    """A clock that stands still until it is told how many minutes have passed."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger that does not exist yet."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "ledger.sqlite")
    make: Callable[..., str] = request.getfixturevalue("new_postgresql")
    return make()


@pytest.fixture(scope="session")
def empty_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the tables of a ledger, to be copied: that is quicker than to migrate for every test."""
    path = tmp_path_factory.mktemp("empty") / "ledger.sqlite"
    ledger = Ledger(sqlite_url(path))
    ledger.open()
    ledger.close()
    return path


@pytest.fixture(scope="session")
def shared_postgresql(postgresql_server: str, administrator: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A connection to a database with the tables of a ledger, to be emptied: that is quicker than a database a test."""
    administrator.execute("CREATE DATABASE shared_ledger")
    url = f"{postgresql_server}/shared_ledger"
    ledger = Ledger(url)
    ledger.open()
    ledger.close()
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a ledger in which nothing happened yet."""
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
    """An empty ledger, whose time is that of `clock`."""
    ledger = Ledger(empty_url, clock)
    yield ledger
    ledger.close()


@pytest.fixture
def study(ledger: Ledger) -> Ledger:
    """A ledger of the images a to f, all for training, without a model."""
    ledger.sync_images("abcdef", validation_cases=0)
    return ledger
