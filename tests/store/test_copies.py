"""Copies of a ledger in use: their making, their removal, and their restoring."""

import multiprocessing
import sqlite3
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from recorded import record_annotation

from activelabel.errors import InvalidInputError, NotFoundError, UnavailableError
from activelabel.store import copies
from activelabel.store.connection.location import sqlite_url
from activelabel.store.copies import (
    copies_folder,
    copy_is_due,
    copy_ledger,
    damage,
    keep_copying,
    list_copies,
    restore_copy,
)
from activelabel.store.ledger import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A ledger with one image that no process has open."""
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger(sqlite_url(file))
    ledger.sync_images("a", 0)
    ledger.close()
    return file


def images(file: Path) -> list[str]:
    ledger = Ledger(sqlite_url(file))
    try:
        return [image.id for image in ledger.images()]
    finally:
        ledger.close()


def flip_bytes(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:4196] = bytes(255 - byte for byte in content[4096:4196])
    file.write_bytes(content)


def test_a_copy_holds_what_was_acknowledged_though_it_is_in_the_log_only(file: Path) -> None:
    ledger = Ledger(sqlite_url(file))
    ledger.sync_images("ab", 0)
    assert b"SQLite" in file.read_bytes()[:16]
    copy = copy_ledger(file)
    ledger.sync_images("abc", 0)
    ledger.close()
    assert images(copy) == ["a", "b"]
    assert [path.name for path in copies_folder(file).glob("*.part")] == []


def test_copying_does_not_disturb_a_writer_and_sees_one_state(file: Path) -> None:
    ledger, stop = Ledger(sqlite_url(file)), threading.Event()

    def write() -> None:
        count = 1
        while not stop.is_set():
            count += 1
            ledger.sync_images([f"i{number}" for number in range(count)], 0)

    writer = threading.Thread(target=write)
    writer.start()
    found = [damage(copy_ledger(file)) for _ in range(5)]
    stop.set()
    writer.join()
    ledger.close()
    assert found == [None] * 5


def test_the_newest_copies_are_kept(file: Path) -> None:
    made = [copy_ledger(file, keep=3, now=NOON + timedelta(days=day)) for day in range(5)]
    assert list_copies(file) == made[2:]


def test_a_file_that_somebody_puts_among_the_copies_is_none_of_them_and_stays(file: Path) -> None:
    copy_ledger(file, now=NOON)
    own = copies_folder(file) / "before the update, 5Z.sqlite"
    own.write_bytes(file.read_bytes())
    assert not copy_is_due(file, NOON)
    made = copy_ledger(file, keep=1, now=NOON + timedelta(days=1))
    assert list_copies(file) == [made]
    assert own.is_file()


def test_a_copy_is_due_after_a_day(file: Path) -> None:
    assert copy_is_due(file, NOON)
    copy_ledger(file, now=NOON)
    assert not copy_is_due(file, NOON + timedelta(hours=23, minutes=59))
    assert copy_is_due(file, NOON + timedelta(hours=24))


def test_a_copy_from_the_future_does_not_put_off_the_next(file: Path) -> None:
    copy_ledger(file, now=NOON + timedelta(days=300))
    assert copy_is_due(file, NOON)


def test_a_failed_copy_is_reported_and_ends_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    heard: list[Path | Exception] = []
    monkeypatch.setattr(copies, "_sync", fail)
    keep_copying(file, 3, heard.append)
    assert "No space left" in str(heard[0])
    assert list_copies(file) == []
    assert list(copies_folder(file).iterdir()) == []


def test_restoring_puts_the_copy_in_place_and_moves_the_old_ledger_aside(file: Path) -> None:
    copy = copy_ledger(file)
    ledger = Ledger(sqlite_url(file))
    ledger.sync_images("abc", 0)
    ledger.close()
    aside = restore_copy(file, copy)
    assert images(file) == ["a"]
    assert aside is not None
    assert images(aside) == ["a", "b", "c"]
    assert copy.exists()


def test_a_log_of_a_ledger_that_is_gone_is_not_played_into_the_copy(file: Path) -> None:
    copy = copy_ledger(file)
    with closing(sqlite3.connect(file)) as connection:  # The log that a killed process leaves.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE images SET id = 'z'")
        connection.commit()
        log = file.with_name(f"{file.name}-wal").read_bytes()
    file.unlink()
    file.with_name(f"{file.name}-wal").write_bytes(log)
    assert restore_copy(file, copy) is None
    assert images(file) == ["a"]


def test_a_damaged_copy_is_refused_and_the_ledger_stays(file: Path) -> None:
    copy = copy_ledger(file)
    flip_bytes(copy)
    assert damage(file) is None
    with pytest.raises(InvalidInputError, match="the copy is damaged"):
        restore_copy(file, copy)
    with pytest.raises(NotFoundError, match="there is no such copy; there are: "):
        restore_copy(file, copy.with_name("nothing.sqlite"))
    assert images(file) == ["a"]


def test_a_damaged_ledger_is_one_line_at_the_start(file: Path) -> None:
    Ledger(sqlite_url(file)).check()
    flip_bytes(file)
    with pytest.raises(InvalidInputError, match="the file is damaged") as refusal:
        Ledger(sqlite_url(file)).check()
    assert "\n" not in str(refusal.value)
    assert "activelabel restore" in str(refusal.value)


@pytest.mark.parametrize("done", ["removed", "replaced"])
def test_a_ledger_that_is_gone_acknowledges_nothing(file: Path, done: str, caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(sqlite_url(file))
    ledger.sync_images("ab", 0)
    file.unlink()
    if done == "replaced":
        other = Ledger(sqlite_url(file))
        other.sync_images("a", 0)
        other.close()
    with pytest.raises(UnavailableError, match="removed or replaced while the server runs"):
        record_annotation(ledger, "a", "file", "0", "ann")
    with pytest.raises(UnavailableError, match="removed or replaced"):
        ledger.images()
    assert caplog.text.count("was removed or replaced while it is in use") == 1, "not with each request"
    ledger.close()


def test_a_ledger_that_goes_while_an_event_is_written_does_not_acknowledge_it(file: Path) -> None:
    ledger = Ledger(sqlite_url(file))
    ledger.open()
    with pytest.raises(UnavailableError, match="removed or replaced"), ledger._writing():
        file.unlink()
    ledger.close()


def test_an_older_ledger_is_copied_before_it_is_upgraded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    monkeypatch.setattr("activelabel.store.migration.copy_ledger", lambda path: made.append(path))
    Ledger(sqlite_url(file)).open()
    assert made == []  # The ledger is up to date.
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE activelabel_version SET version_num = '0000-unknown'")
        connection.commit()
    with pytest.raises(InvalidInputError, match="newer activelabel"):
        Ledger(sqlite_url(file)).open()
    assert made == [file]


def end_connections(administrator: psycopg.Connection, database: str) -> None:
    others = "pid <> pg_backend_pid() AND datname LIKE %s"
    administrator.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}", [database])  # noqa: S608


def lead_and_wait(url: str, leads: "multiprocessing.Queue[bool]", end: "multiprocessing.synchronize.Event") -> None:
    ledger = Ledger(url)
    leads.put(ledger.lead())
    end.wait(600)


def test_one_server_of_a_postgresql_ledger_leads_until_it_is_gone(new_postgresql) -> None:  # type: ignore[no-untyped-def]
    url, context = new_postgresql(), multiprocessing.get_context("spawn")
    first = Ledger(url)
    assert first.lead()
    assert first.lead()
    leads, end = context.Queue(), context.Event()
    second = context.Process(target=lead_and_wait, args=(url, leads, end))
    second.start()
    assert leads.get(timeout=300) is False
    third = Ledger(url)
    assert not third.lead()
    first.close()
    deadline = time.monotonic() + 120
    while not third.lead() and time.monotonic() < deadline:  # PostgreSQL ends a closed session in its own time
        time.sleep(0.05)
    assert third.lead()
    end.set()
    second.join(300)
    third.close()


def test_a_leader_whose_connection_was_lost_asks_again(new_postgresql, administrator) -> None:  # type: ignore[no-untyped-def]
    ledger = Ledger(new_postgresql())
    assert ledger.lead()
    end_connections(administrator, "ledger_%")
    assert ledger.lead()
    ledger.close()


def test_an_annotator_is_told_neither_host_nor_user_of_a_database_that_is_away(
    new_postgresql, administrator, caplog
) -> None:  # type: ignore[no-untyped-def]
    url = new_postgresql()
    ledger = Ledger(url)
    ledger.open()
    name = url.rpartition("/")[2]
    administrator.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    end_connections(administrator, name)
    with pytest.raises(UnavailableError, match="does not answer") as refusal:
        ledger.images()
    assert all(word not in str(refusal.value) for word in ("tester", "127.0.0.1", name))
    assert name in caplog.text  # The operator of the server finds it in the log.
    administrator.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    assert ledger.images() == []
    ledger.close()
