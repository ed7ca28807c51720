"""Files that reach the disk behind whoever writes them: by one thread, which keeps nobody waiting."""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from activelabel.data.files import behind
from activelabel.data.files.behind import sync_behind, wait_for_disk, write_behind

ENDING = """
import os, sys, time
from pathlib import Path
from activelabel.data.files import behind
sync = os.fsync
def slow(number):
    time.sleep(float(sys.argv[2]))
    sync(number)
    print("synced", flush=True)
os.fsync = slow
behind.write_behind(Path(sys.argv[1]), b"content")
"""


@pytest.fixture(autouse=True)
def own_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A thread for each test, once the one of the tests before has nothing to do."""
    assert wait_for_disk(60)
    monkeypatch.setattr(behind, "_syncing", behind._Syncing())
    yield
    wait_for_disk()


def test_many_files_take_one_thread_and_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go_on, synced = threading.Event(), list[int]()

    def slow(number: int) -> None:
        may_go_on.wait(60)
        synced.append(number)

    monkeypatch.setattr(behind.os, "fsync", slow)
    threads, descriptors = set(threading.enumerate()), psutil.Process().num_fds()
    for number in range(250):
        write_behind(tmp_path / f"{number}", b"%d" % number)
    assert [thread.name for thread in threading.enumerate() if thread not in threads].count("disk") == 1
    assert psutil.Process().num_fds() <= descriptors + 1
    assert not synced
    assert not wait_for_disk(0.01)
    assert [(tmp_path / f"{number}").read_bytes() for number in (0, 249)] == [b"0", b"249"]
    may_go_on.set()
    assert wait_for_disk(60)
    assert 250 < len(synced) < 500, "each file, and their folder not each time"


def test_a_thread_that_cannot_be_started_is_a_warning_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(threading.Thread, "start", full)
        write_behind(tmp_path / "record", b"content")
    assert "record: may be lost with a power cut, and is then made again: can't start new thread" in caplog.text
    assert (tmp_path / "record").read_bytes() == b"content"
    assert not wait_for_disk(0)
    write_behind(tmp_path / "other", b"content")
    assert wait_for_disk(60)


def test_what_the_disk_refuses_is_logged_and_what_is_gone_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    may_go_on, synced, sync = threading.Event(), list[Path](), behind.sync_file

    def syncing(path: Path) -> None:
        may_go_on.wait(60)
        if path.name == "broken":
            raise OSError(5, "Input/output error")
        sync(path)
        synced.append(path)

    monkeypatch.setattr(behind, "sync_file", syncing)
    with caplog.at_level(logging.WARNING):
        for name in ("gone", "broken", "there"):
            write_behind(tmp_path / name, b"content")
        (tmp_path / "gone").unlink()
        may_go_on.set()
        assert wait_for_disk(60)
    assert synced == [tmp_path / "there"]
    assert "broken: may be lost with a power cut, and is then made again: Input/output error" in caplog.text
    assert "gone" not in caplog.text


@pytest.mark.parametrize(("seconds", "printed"), [("0.2", ["synced", "synced"]), ("600", [])], ids=["slow", "still"])
def test_a_process_ends_after_its_files_are_on_the_disk_unless_that_stands_still(
    tmp_path: Path, seconds: str, printed: list[str]
) -> None:
    began = time.monotonic()
    command = [sys.executable, "-c", ENDING, str(tmp_path / "record"), seconds]
    ended = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=True)
    assert ended.stdout.split() == printed
    assert time.monotonic() - began < 100
    assert (tmp_path / "record").read_bytes() == b"content"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_has_a_thread_of_its_own(tmp_path: Path) -> None:
    write_behind(tmp_path / "before", b"content")
    assert wait_for_disk(60)
    child = os.fork()
    if not child:
        write_behind(tmp_path / "child", b"content")
        os._exit(0 if wait_for_disk(60) else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_on_windows_the_disk_is_waited_for_before_the_file_is_at_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that has it open would have the next label of the image refused."""
    synced: list[bool] = []
    monkeypatch.setattr(behind, "ON_WINDOWS", True)
    monkeypatch.setattr(behind.os, "fsync", lambda _: synced.append((tmp_path / "record").exists()))
    write_behind(tmp_path / "record", b"content")
    assert synced == [False]
    assert wait_for_disk(0)
    assert (tmp_path / "record").read_bytes() == b"content"


def test_who_waits_is_told_once_file_and_folder_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    synced, told = list[Path](), list[str]()

    def sync(path: Path) -> None:
        if path.name.startswith("broken"):
            raise OSError(5, "Input/output error")
        synced.append(path)

    def tell(name: str) -> None:
        told.append(f"{name} {synced.count(tmp_path / name / 'label')} {synced.count(tmp_path / name)}")
        if name == "full":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(behind, "sync_file", sync)
    monkeypatch.setattr(behind, "sync_folder", sync)
    with caplog.at_level(logging.WARNING):
        for place in ("good/label", "good/broken", "broken/label", "full/label"):
            sync_behind(tmp_path / place, partial(tell, place.split("/")[0]))
            assert wait_for_disk(60)
    assert told == ["good 1 1", "full 1 1"], "neither of the broken file nor of that in the broken folder"
    assert "label: may be lost with a power cut, and is then made again: No space left on device" in caplog.text
