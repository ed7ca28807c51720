import os
import threading
from pathlib import Path

import pytest

from activelabel.data.files import writing as files
from activelabel.data.files.writing import (
    UnfinishedFile,
    file_stamp,
    make_lasting_folder,
    write_atomically,
    write_if_changed,
)


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
    monkeypatch.setattr(files.os, "fsync", lambda _: may_go_on.wait(120))
    unfinished = UnfinishedFile(tmp_path / "label", b"content")
    wait = unfinished.finish_beside()
    assert not (tmp_path / "label").exists()
    may_go_on.set()
    wait()
    status = (tmp_path / "label").stat()
    assert (status.st_size, status.st_mtime_ns) == unfinished.stamp
    assert [path.name for path in tmp_path.iterdir()] == ["label"]


def test_of_a_file_that_another_program_has_moved_away_the_stamp_is_unknown(tmp_path: Path) -> None:
    unfinished = UnfinishedFile(tmp_path / "label", b"content")
    unfinished.finish()
    assert unfinished.stamp_at_its_place() == file_stamp((tmp_path / "label").stat())
    (tmp_path / "label").rename(tmp_path / "quarantine")
    assert unfinished.stamp_at_its_place() is None


def test_the_name_of_each_folder_that_is_made_is_put_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    make_lasting_folder(tmp_path / "labels" / "image")
    assert sorted(synced) == [tmp_path, tmp_path / "labels"]
    make_lasting_folder(tmp_path / "labels" / "image")
    assert len(synced) == 2


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


def test_the_time_of_a_file_is_the_one_that_it_has_once_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS and NTFS settle it only then."""
    monkeypatch.setattr(files.os, "fsync", lambda number: os.utime(number, ns=(5, 7)) if number > 2 else None)
    unfinished = UnfinishedFile(tmp_path / "label", b"content")
    unfinished.finish(lasting=False)
    assert unfinished.stamp == (7, 7)
    assert (tmp_path / "label").stat().st_mtime_ns == 7


@pytest.mark.parametrize("content", [b"one two three", b"one", b"one two THREE four", b"", None])
def test_what_is_the_same_is_not_written_and_all_else_is(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    is_new, stamp = write_if_changed(file, iter([b"one ", b"two ", b"three"]))
    assert is_new is (content != b"one two three")
    assert stamp == file_stamp(file.stat())
    assert file.read_bytes() == b"one two three"
    written = file.stat()
    assert write_if_changed(file, iter([b"one ", b"two three"])) == (False, stamp)
    again = file.stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize("in_place", [True, False])
def test_what_another_program_has_put_there_meanwhile_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_place: bool
) -> None:
    file = tmp_path / "file"

    def edit(_: Path) -> None:
        if in_place:
            file.write_bytes(b"their own")
        else:
            (tmp_path / "other").write_bytes(b"our")
            os.utime(tmp_path / "other", ns=(file.stat().st_mtime_ns,) * 2)
            (tmp_path / "other").replace(file)

    monkeypatch.setattr(files, "sync_folder", edit)
    assert write_if_changed(file, iter([b"our"])) == (True, None)
