"""A folder is watched where the system tells of changes, and read again now and then where it does not."""

import errno
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from watchdog.observers.inotify import InotifyObserver

from activelabel.server.datastores import folder_watch
from activelabel.server.datastores.folder_watch import FolderWatch, file_system_without_events


class Noting:
    """A watcher that notes that it was told."""

    def __init__(self) -> None:
        self.told = threading.Event()

    def on_change(self) -> None:
        """Note it."""
        self.told.set()

    def on_put_in_place(self, target: Path) -> None:
        """Note it."""
        self.told.set()


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
    assert watcher.told.wait(30)
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
    assert watcher.told.wait(30)
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
    assert watcher.told.wait(30)
    watch.stop()
    watch.join()
    assert "the system has stopped to send events" in caplog.text
