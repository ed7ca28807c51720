"""Detects images and labels that come, go or change anywhere below the studies folder."""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import psutil
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from activelabel.data.files.names import ending_of, is_dicom, is_hidden
from activelabel.data.files.studies_folder import PROJECT_FOLDER
from activelabel.project.listing import LISTING

logger = logging.getLogger(__name__)

_WITHOUT_EVENTS = (
    "nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "gluster", "lustre", "beegfs", "gpfs", "virtiofs", "vboxsf",
)  # fmt: skip
"""How the types of file systems begin that are shared with other machines."""
LOOK_SECONDS = 30.0
"""How often a folder that cannot be watched is read again."""


class Watcher(Protocol):
    """The receiver of notifications."""

    def on_change(self) -> None:
        """Called when something may have come, gone or changed."""

    def on_put_in_place(self, target: Path) -> None:
        """Called when a complete file was put in place under its final name."""


def file_system_without_events(folder: Path) -> str:
    """The type of a folder's file system if others can change it without this system's knowledge, else empty."""
    place = folder.resolve()
    mounts = [disk for disk in psutil.disk_partitions(all=True) if place.is_relative_to(disk.mountpoint)]
    kind = max(mounts, key=lambda disk: len(disk.mountpoint)).fstype.lower() if mounts else ""
    return kind if kind.startswith(_WITHOUT_EVENTS) else ""


class FolderWatch:
    """Notifies a watcher of changes to images, labels and the host's listing, but not in the project folder.

    The system tells of changes, so nothing is read while there are none. Where it cannot, as on network file systems
    or beyond its limit of watched folders, the watcher is told every half a minute that something may have changed.
    """

    def __init__(self, folders: Iterable[Path], watcher: Watcher) -> None:
        """Watch `folders`."""
        self._folders = list(folders)
        self._watcher = watcher
        self._unwatchable = next(filter(None, map(file_system_without_events, self._folders)), "")
        self._observer: BaseObserver | None = None if self._unwatchable else Observer()
        self._ended = threading.Event()
        self._looking = threading.Thread(target=self._keep_looking, name="folder", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        if self._observer is None:
            self._say(f"the file system {self._unwatchable} sends no events")
        else:
            try:
                for folder in self._folders:
                    self._observer.schedule(_Handler(folder, self._watcher), recursive=True, path=str(folder))
                self._observer.start()
            except OSError as error:  # the limit of watched folders (fs.inotify.max_user_watches)
                self._give_up(error.strerror or str(error))
        self._looking.start()

    def stop(self) -> None:
        """End watching."""
        self._ended.set()
        if self._observer is not None:
            self._observer.stop()

    def join(self) -> None:
        """Wait until watching has ended."""
        if self._observer is not None and self._observer.is_alive():
            self._observer.join()
        if self._looking.is_alive():
            self._looking.join()

    def _keep_looking(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            if self._observer is not None and not all(emitter.is_alive() for emitter in self._observer.emitters):
                self._give_up("the system has stopped to send events")
            if self._observer is None:
                self._watcher.on_change()

    def _give_up(self, reason: str) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.unschedule_all()
            if observer.is_alive():
                observer.stop()
        self._say(reason)

    def _say(self, reason: str) -> None:
        logger.warning(
            "%s cannot be watched (%s): it is read again every %d s, or less often if that takes long",
            ", ".join(map(str, self._folders)), reason, LOOK_SECONDS,
        )  # fmt: skip


class _Handler(FileSystemEventHandler):
    def __init__(self, folder: Path, watcher: Watcher) -> None:
        self._folder = folder
        self._watcher = watcher

    def on_created(self, event: FileSystemEvent) -> None:
        """Notify of a new image, label or folder."""
        self._tell(event, self._watcher.on_change)

    def on_deleted(self, event: FileSystemEvent) -> None:
        """Notify of a removed image, label, folder or listing."""
        self._tell(event, self._watcher.on_change)

    def on_modified(self, event: FileSystemEvent) -> None:
        """Notify of a changed image or label."""
        if not event.is_directory and Path(os.fsdecode(event.src_path)).name != LISTING:
            self._tell(event, self._watcher.on_change)

    def on_moved(self, event: FileSystemEvent) -> None:
        """Notify of a file or folder that was put in place, renamed or moved away."""
        target = Path(os.fsdecode(event.dest_path))
        if not event.is_directory and self._concerns(target, is_folder=False):
            self._watcher.on_put_in_place(target)
        else:
            self._tell(event, self._watcher.on_change)

    def _tell(self, event: FileSystemEvent, notify: Callable[[], None]) -> None:
        if self._concerns(Path(os.fsdecode(event.src_path)), event.is_directory):
            notify()

    def _concerns(self, path: Path, is_folder: bool) -> bool:
        below = path.relative_to(self._folder).parts
        if not below or below[0] == PROJECT_FOLDER or any(map(is_hidden, below)):
            return False
        return is_folder or bool(ending_of(path.name)) or is_dicom(path.name) or below == (LISTING,)
