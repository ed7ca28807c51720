"""A PostgreSQL server that lives as long as the tests, and databases of it."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from ports import free_port

POSTGRESQL_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
PASSWORD = "do-not-show-this"


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """The URL of a server, without a database, as a user who may do everything."""
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
    # A server that sorts as a dictionary does: the ledger must order by code point all the same.
    language = ["--encoding=UTF8", "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]
    subprocess.run([*initdb, "-A", "scram-sha-256", *language], user=user, check=True, capture_output=True, cwd=folder)
    port = free_port()
    settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "shared_buffers=16MB"]
    # What a power cut would lose does not matter here.
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
        server.wait(timeout=120)
        shutil.rmtree(folder)


def _wait_until_it_answers(url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError as error:
            if time.monotonic() > deadline:
                raise RuntimeError(log.read_text(encoding="utf-8")) from error
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def administrator(postgresql_server: str) -> Iterator[psycopg.Connection]:
    """Creates and drops databases."""
    with psycopg.connect(f"{postgresql_server}/postgres", autocommit=True) as connection:
        yield connection


@pytest.fixture
def new_postgresql(postgresql_server: str, administrator: psycopg.Connection) -> Iterator[Callable[..., str]]:
    """Makes databases, empty unless a template is named; each call gives a URL. They are dropped at the end."""
    names: list[str] = []

    def make(options: str = "") -> str:
        names.append(f"ledger_{secrets.token_hex(6)}")
        administrator.execute(f'CREATE DATABASE "{names[-1]}" STRATEGY file_copy {options}')
        return f"{postgresql_server}/{names[-1]}"

    yield make
    for name in names:
        administrator.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
