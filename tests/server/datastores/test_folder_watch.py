"""A folder is watched where the system tells of changes, and read again now and then where it does not."""

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from activelabel.server.datastores import folder_watch
from activelabel.server.datastores.folder_watch import FolderWatch, file_system_without_events


class Noting:
    """A watcher that notes that it was told."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.paths: list[Path | None] = []

    def on_change(self, path: Path | None = None) -> None:
        """Note it."""
        self.paths.append(path)
        self.told.set()

    def on_put_in_place(self, target: Path) -> None:
        """Note it."""
        self.paths.append(target)
        self.told.set()

    def wait_for(self, *paths: Path | None) -> None:
        """Wait until these paths are among those that were told; forget them all."""
        end = time.monotonic() + 60
        while not set(paths) <= set(self.paths):
            assert time.monotonic() < end, self.paths
            time.sleep(0.02)
        self.paths.clear()


def disks(monkeypatch: pytest.MonkeyPatch, **types: str) -> None:
    """Let the system have these mount points, below /, with these types."""
    mounted = [SimpleNamespace(mountpoint=f"/{place.strip('_')}", fstype=kind) for place, kind in types.items()]
    monkeypatch.setattr(folder_watch.psutil, "disk_partitions", lambda all: mounted)


def test_file_systems_of_other_machines_send_no_events_and_those_of_this_one_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    disks(monkeypatch, _="ext4", data="nfs4", share="cifs", local="xfs", mnt="fuse.sshfs")
    seen = {name: file_system_without_events(Path(name)) for name in ("/x", "/data/x", "/share", "/local/x", "/mnt/y")}
    assert seen == {"/x": "", "/data/x": "nfs4", "/share": "cifs", "/local/x": "", "/mnt/y": "fuse.sshfs"}


def test_a_folder_without_changes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "LOOK_SECONDS", 0.05)
    watcher = Noting()
    watch = FolderWatch([tmp_path], watcher)
    watch.start()
    assert not watcher.told.wait(0.5)
    (tmp_path / "a.nii.gz").write_bytes(b"")
    assert watcher.told.wait(120)
    watch.stop()
    watch.join()


@pytest.mark.parametrize("cause", ["limit", "share"])
def test_a_folder_that_cannot_be_watched_is_read_now_and_then_with_a_line_in_the_log(
    cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: object) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    monkeypatch.setattr(folder_watch, "LOOK_SECONDS", 0.05)
    if cause == "limit":
        monkeypatch.setattr(InotifyObserver, "start", refuse)
        reason = "inotify watch limit reached"
    else:
        disks(monkeypatch, _="nfs4")
        reason = "the file system nfs4 sends no events"
    watcher = Noting()
    watch = FolderWatch([tmp_path], watcher)
    watch.start()
    assert watcher.told.wait(120)
    watch.stop()
    watch.join()
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path} cannot be watched ({reason}): it is read again every")


def test_a_watch_that_ends_by_itself_is_replaced_by_looking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(folder_watch, "LOOK_SECONDS", 0.05)
    watcher = Noting()
    watch = FolderWatch([tmp_path], watcher)
    watch.start()
    assert watch._observer is not None
    for emitter in watch._observer.emitters:
        emitter.stop()
    assert watcher.told.wait(120)
    watch.stop()
    watch.join()
    assert "the system has stopped to send events" in caplog.text


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[FolderWatch, Noting]]:
    """A folder that is watched, and who is told."""
    watcher = Noting()
    watch = FolderWatch([tmp_path], watcher)
    watch.start()
    yield watch, watcher
    watch.stop()
    watch.join()


def test_a_watch_tells_what_has_changed_in_the_folder(watched: tuple[FolderWatch, Noting], tmp_path: Path) -> None:
    _, watcher = watched
    image, other = tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"
    image.touch()
    watcher.wait_for(image)
    image.rename(other)
    watcher.wait_for(image, other)
    (tmp_path / "new").mkdir()
    watcher.wait_for(tmp_path / "new")
    other.rename(tmp_path / "new" / "c.nii.gz")
    watcher.wait_for(other, tmp_path / "new" / "c.nii.gz")
    (tmp_path / "new").rename(tmp_path / "old")
    watcher.wait_for(tmp_path / "new", tmp_path / "old")
    (tmp_path / "old" / "c.nii.gz").unlink()
    watcher.wait_for(tmp_path / "old" / "c.nii.gz")


def test_if_the_system_lost_some_changes_anything_may_have_changed(
    watched: tuple[FolderWatch, Noting], tmp_path: Path
) -> None:
    watch, watcher = watched
    assert watch._observer is not None
    (emitter,) = watch._observer.emitters
    emitter._inotify._inotify_fd.handle_event(InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b""))  # type: ignore[attr-defined]
    watcher.wait_for(None)
    (tmp_path / "a.nii.gz").touch()
    watcher.wait_for(tmp_path / "a.nii.gz")


def test_where_it_cannot_be_known_that_changes_were_lost_anything_may_have_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_watch, "OVERFLOW", "of_another_watchdog")
    watcher = Noting()
    watch = FolderWatch([tmp_path], watcher)
    watch.start()
    (tmp_path / "a.nii.gz").touch()
    watcher.wait_for(None)
    watch.stop()
    watch.join()


def test_nothing_wakes_it_for_what_happens_in_the_project_folder(tmp_path: Path) -> None:
    (tmp_path / "activelabel" / "labels").mkdir(parents=True)
    watcher = Noting()
    watch = FolderWatch([tmp_path], watcher)
    watch.start()
    assert watch._observer is not None
    (emitter,) = watch._observer.emitters
    group = emitter._inotify  # type: ignore[attr-defined]
    (tmp_path / "images").mkdir()
    (tmp_path / "activelabel" / "labels" / "a").mkdir()
    (tmp_path / "images" / "a.nii.gz").touch()
    watcher.wait_for(tmp_path / "images")
    assert set(group._active_callbacks_by_path) == {os.fsencode(tmp_path), os.fsencode(tmp_path / "images")}
    group.on_queue_overflow()
    watcher.wait_for(None)
    assert set(group._active_callbacks_by_path) == {os.fsencode(tmp_path), os.fsencode(tmp_path / "images")}
    watch.stop()
    watch.join()
