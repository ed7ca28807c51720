"""Detects images and labels that come, go or change anywhere below the studies folder."""

import logging
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import psutil
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, EventEmitter

from activelabel.data.files.folder_reading import LEDGER_FILE, PROJECT_FOLDER
from activelabel.data.files.names import ending_of, is_dicom, is_hidden, no_image
from activelabel.project.listing import LISTING

logger = logging.getLogger(__name__)

_WITHOUT_EVENTS = (
    "nfs", "cifs", "smb", "fuse", "9p", "afs", "ceph", "gluster", "lustre", "beegfs", "gpfs", "virtiofs", "vboxsf",
)  # fmt: skip
"""How the types of file systems begin that are shared with other machines."""
_WANTED: list[type[FileSystemEvent]] = [
    *(DirCreatedEvent, DirDeletedEvent, DirMovedEvent),
    *(FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent),
]
"""Of others nothing is told: the system tells of each file that is opened too, as by each training."""
OVERFLOW = "on_queue_overflow"
"""What watchdog calls when the queue of Linux has overflowed, from version 7.1 on."""
LOOK_SECONDS = 30.0
"""How often a folder that cannot be watched is read again."""


class Watcher(Protocol):
    """The receiver of notifications."""

    def on_change(self, path: Path | None = None) -> None:
        """Called when something has come, gone or changed at a path; without a path, when anything may have."""

    def on_put_in_place(self, target: Path) -> None:
        """Called when a complete file was put in place under its final name."""


def file_system_without_events(folder: Path) -> str:
    """The type of a folder's file system if others can change it without this system's knowledge, else empty."""
    place = folder.resolve()
    mounts = [disk for disk in psutil.disk_partitions(all=True) if place.is_relative_to(disk.mountpoint)]
    kind = max(mounts, key=lambda disk: len(disk.mountpoint)).fstype.lower() if mounts else ""
    return kind if kind.startswith(_WITHOUT_EVENTS) else ""


class ToldChanges:
    """The paths at which something has changed since somebody looked; all, if it is not known where."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: set[Path] | None = set()

    def note(self, path: Path | None) -> None:
        """Note a path, or that anything may have changed."""
        with self._lock:
            if path is None:
                self._paths = None
            elif self._paths is not None:
                self._paths.add(path)

    def any(self) -> bool:
        """Whether anything was noted."""
        with self._lock:
            return self._paths is None or bool(self._paths)

    def take(self) -> set[Path] | None:
        """What was noted; nothing is noted afterwards."""
        with self._lock:
            paths, self._paths = self._paths, set()
            return paths


class FolderWatch:
    """Notifies a watcher of changes to images, labels and the host's listing, but not in the project folder.

    The system tells what has changed, so nothing is read while nothing does, and nothing else when something does.
    Where it cannot, as on network file systems or beyond its limit of watched folders, the watcher is told every half a
    minute that anything may have changed; and at once, when so much has changed that the system lost some of it.
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
                    handler = _Handler(folder, self._watcher)
                    self._observer.schedule(handler, recursive=True, path=str(folder), event_filter=_WANTED)
                self._observer.start()
                for emitter in self._observer.emitters:
                    _leave_out_project(emitter)
                _tell_what_is_lost(self._observer, self._watcher)
            except OSError as error:  # the limit of watched folders (fs.inotify.max_user_watches)
                self._give_up(error.strerror or str(error))
        self._looking.start()

    def stop(self) -> None:
        """End watching."""
        self._ended.set()
        observer = self._observer  # the looking thread may give it up meanwhile
        if observer is not None:
            observer.stop()

    def join(self) -> None:
        """Wait until watching has ended."""
        observer = self._observer
        if observer is not None and observer.is_alive():
            observer.join()
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


def _leave_out_project(emitter: EventEmitter) -> None:
    """Watch the project folder no more, nor what comes in it.

    With each label some twenty files are written there, and telling of each would hold up the thread that writes them.
    Where watchdog cannot leave out a folder (another system than Linux, or before 7.1), `_Handler` does.
    """
    group = getattr(emitter, "_inotify", None)
    remove, watched = getattr(group, "_remove_callbacks", None), getattr(group, "_active_callbacks_by_path", None)
    if group is None or remove is None or watched is None:
        return
    folder = os.path.join(os.fsencode(emitter.watch.path), PROJECT_FOLDER.encode())
    with group._lock:
        remove([number for path, number in watched.items() if path == folder or path.startswith(folder + b"/")])


def _tell_what_is_lost(observer: BaseObserver, watcher: Watcher) -> None:
    """Tell a watcher when the queue of the system has overflowed.

    A system of which that cannot be known, such as another than Linux, always tells that anything may have changed.
    """
    for emitter in observer.emitters:
        group = getattr(emitter, "_inotify", None)
        rebuild = getattr(group, OVERFLOW, None)
        if group is None or rebuild is None:
            for handler in observer._handlers.get(emitter.watch, ()):
                if isinstance(handler, _Handler):
                    handler.says_where = False
            continue

        def lost(rebuild: Callable[[], None] = rebuild, emitter: EventEmitter = emitter) -> None:
            rebuild()
            _leave_out_project(emitter)
            watcher.on_change()

        setattr(group, OVERFLOW, lost)


class _Handler(FileSystemEventHandler):
    def __init__(self, folder: Path, watcher: Watcher) -> None:
        self._folder = folder
        self._watcher = watcher
        self.says_where = True

    def on_created(self, event: FileSystemEvent) -> None:
        """Notify of a new image, label or folder."""
        self._tell(event.src_path, event.is_directory)

    def on_deleted(self, event: FileSystemEvent) -> None:
        """Notify of a removed image, label, folder or listing."""
        self._tell(event.src_path, event.is_directory)

    def on_modified(self, event: FileSystemEvent) -> None:
        """Notify of a changed image or label."""
        name = Path(os.fsdecode(event.src_path)).name
        if not event.is_directory and (ending_of(name) or is_dicom(name)):
            self._tell(event.src_path, is_folder=False)

    def on_moved(self, event: FileSystemEvent) -> None:
        """Notify of a file or folder that was put in place, renamed or moved away."""
        target = Path(os.fsdecode(event.dest_path))
        self._tell(event.src_path, event.is_directory)
        if event.is_directory:
            self._tell(event.dest_path, is_folder=True)
        elif self._concerns(target, is_folder=False):
            self._watcher.on_put_in_place(target)

    def _tell(self, place: bytes | str, is_folder: bool) -> None:
        path = Path(os.fsdecode(place))
        if self._concerns(path, is_folder):
            self._watcher.on_change(path if self.says_where else None)

    def _concerns(self, path: Path, is_folder: bool) -> bool:
        below = path.relative_to(self._folder).parts
        if not below or below[0] == PROJECT_FOLDER or any(map(is_hidden, below)):
            return False
        return is_folder or no_image(path.name) != "" or path.name == LEDGER_FILE or below == (LISTING,)
