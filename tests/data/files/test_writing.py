import logging
import threading
from pathlib import Path

import pytest

from activelabel.data.files import writing as files
from activelabel.data.files.writing import UnfinishedFile, sync_behind, write_atomically


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "label").write_bytes(b"earlier")

    write_atomically(tmp_path / "label", b"new")

    assert (tmp_path / "label").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["label"]


def test_a_failure_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "label").write_bytes(b"earlier")

    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_atomically(tmp_path / "label", b"new")

    assert (tmp_path / "label").read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["label"]


def test_a_file_that_another_thread_finishes_is_at_its_place_once_that_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = threading.Event()
    monkeypatch.setattr(files.os, "fsync", lambda _: may_go_on.wait(10))
    unfinished = UnfinishedFile(tmp_path / "label", b"content")
    wait = unfinished.finish_beside()
    assert not (tmp_path / "label").exists()
    may_go_on.set()
    wait()
    status = (tmp_path / "label").stat()
    assert (status.st_size, status.st_mtime_ns) == unfinished.stamp
    assert [path.name for path in tmp_path.iterdir()] == ["label"]


def test_whoever_waits_for_a_file_hears_why_it_could_not_be_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    wait = UnfinishedFile(tmp_path / "label", b"content").finish_beside()
    for _ in range(2):
        with pytest.raises(OSError, match="no space left"):
            wait()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_made_lasting_behind_is_logged_and_what_is_gone_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Now(threading.Thread):
        def start(self) -> None:
            self.run()

    synced: list[int] = []
    monkeypatch.setattr(files.threading, "Thread", Now)
    monkeypatch.setattr(files.os, "fsync", synced.append)
    (tmp_path / "there").touch()
    sync_behind(tmp_path / "there", tmp_path / "gone")
    assert len(synced) == 2  # the file that is there, and the folder
    assert not caplog.records

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", broken)
    with caplog.at_level(logging.WARNING):
        sync_behind(tmp_path / "there")
    assert "there: may be lost with a power cut, and is then made again: Input/output error" in caplog.text
