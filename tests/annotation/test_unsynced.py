"""The ledger keeps the content of a label until the disk has its file, so that nobody who saves waits for the file."""

import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_archive import Archive

from activelabel.annotation import label_files
from activelabel.backports import ON_WINDOWS
from activelabel.data.files import writing
from activelabel.data.files.behind import wait_for_disk
from activelabel.project.labels.unsynced import write_unsynced
from activelabel.store.connection.location import sqlite_url
from activelabel.store.ledger import Ledger

pytestmark = pytest.mark.skipif(ON_WINDOWS, reason="every label waits for its file there")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    (tmp_path / "labels").mkdir()  # else the first label of a project waits until the disk has its name
    return Archive(tmp_path)


@pytest.fixture
def still_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that stands still until the event is set; the ledger does not go by Python's `fsync`."""
    may_go_on, sync = threading.Event(), os.fsync

    def still(descriptor: int) -> None:
        assert may_go_on.wait(120)
        sync(descriptor)

    assert wait_for_disk(60)
    monkeypatch.setattr(writing.os, "fsync", still)
    yield may_go_on
    may_go_on.set()
    assert wait_for_disk(60)


def test_the_ledger_has_what_the_disk_has_not_yet(archive: Archive, still_disk: threading.Event) -> None:
    first = archive.send("ann", 0, 1, 1, 0, 0)
    assert archive.values() == [0, 1, 1, 0, 0], "whoever reads the label need not wait either"
    content = archive.archive.file(first).read_bytes()
    assert Ledger(sqlite_url(archive.folder / "ledger.sqlite")).label_contents() == {first.file: content}
    second = archive.send("bob", 2, 0, 0, 0, 0)
    assert archive.ledger.label_contents().keys() == {first.file, second.file}
    still_disk.set()
    assert wait_for_disk(60)
    third = archive.send("ann", 2, 2, 0, 0, 0)
    assert archive.ledger.label_contents().keys() == {third.file}, "with the next label the others are forgotten"


def test_a_draft_is_kept_so_too(archive: Archive, still_disk: threading.Event) -> None:
    draft = archive.send("ann", 0, 1, 1, 0, 0, finished=False)
    assert archive.ledger.label_contents() == {draft.file: (archive.folder / "labels" / draft.file).read_bytes()}


@pytest.mark.parametrize("damage", ["gone", "cut short", "zeros", "no folder"])
def test_what_a_power_cut_has_taken_is_written_anew(
    damage: str, archive: Archive, still_disk: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    kept = archive.send("ann", 0, 1, 1, 0, 0)
    file = archive.archive.file(kept)
    content = file.read_bytes()
    still_disk.set()
    assert wait_for_disk(60)
    if damage == "no folder":
        shutil.rmtree(file.parent)
    else:
        file.unlink()
    if damage == "cut short":
        file.write_bytes(content[:-1])
    if damage == "zeros":
        file.write_bytes(bytes(len(content)))
    with caplog.at_level(logging.WARNING):
        write_unsynced(archive.ledger, archive.folder / "labels")
    assert f"the label {kept.file} was gone, or cut short" in caplog.text
    assert file.read_bytes() == content
    assert archive.archive.sound_file(kept) == file
    assert archive.ledger.label_contents() == {}


def test_after_a_kill_the_files_are_there_and_are_put_on_the_disk(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kept = archive.send("ann", 0, 1, 1, 0, 0)
    assert wait_for_disk(60)
    status = archive.archive.file(kept).stat()
    synced = set[int]()
    monkeypatch.setattr(writing.os, "fsync", lambda descriptor: synced.add(os.fstat(descriptor).st_ino))
    with caplog.at_level(logging.WARNING):
        write_unsynced(archive.ledger, archive.folder / "labels")
    assert caplog.text == ""
    assert archive.archive.file(kept).stat().st_ctime_ns == status.st_ctime_ns
    labels = archive.folder / "labels"
    assert synced >= {status.st_ino, (labels / "a").stat().st_ino, labels.stat().st_ino}
    assert archive.ledger.label_contents() == {}


def test_what_the_disk_refuses_stays_in_the_ledger(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    assert wait_for_disk(60)
    with monkeypatch.context() as patch:
        patch.setattr(writing.os, "fsync", broken)
        first = archive.send("ann", 0, 1, 1, 0, 0)
        assert wait_for_disk(60)
    second = archive.send("bob", 2, 0, 0, 0, 0)
    assert archive.ledger.label_contents().keys() == {first.file, second.file}


def test_a_label_that_is_not_recorded_keeps_nothing_from_being_forgotten(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.send("ann", 0, 1, 1, 0, 0)
    assert wait_for_disk(60)

    def broken(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "keep_label", broken)
        with pytest.raises(RuntimeError):
            archive.send("bob", 2, 0, 0, 0, 0)
    last = archive.send("bob", 2, 0, 0, 0, 0)
    assert archive.ledger.label_contents().keys() == {last.file}


def test_a_large_label_waits_for_the_disk_instead(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    size = archive.archive.file(archive.send("ann", 0, 1, 1, 0, 0)).stat().st_size
    assert wait_for_disk(60)
    monkeypatch.setattr(label_files, "MOST_IN_LEDGER", size - 1)
    before = set(archive.ledger.label_contents())
    archive.send("bob", 0, 1, 1, 1, 2)
    assert set(archive.ledger.label_contents()) == before
