"""Detects images and labels that come, go or change anywhere below the studies folder."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from activelabel.data.files.names import ending_of, is_dicom, is_hidden
from activelabel.data.files.studies_folder import PROJECT_FOLDER
from activelabel.project.listing import LISTING


class Watcher(Protocol):
    """The receiver of notifications."""

    def on_change(self) -> None:
        """Called when something may have come, gone or changed."""

    def on_put_in_place(self, target: Path) -> None:
        """Called when a complete file was put in place under its final name."""


class FolderWatch:
    """Notifies a watcher of changes to images, labels and the host's listing, but not in the project folder."""

    def __init__(self, folders: Iterable[Path], watcher: Watcher, by_looking: bool) -> None:
        """Watch `folders`; `by_looking` polls them, where the system sends no events, as on network file systems."""
        self._observer = PollingObserver() if by_looking else Observer()
        for folder in folders:
            self._observer.schedule(_Handler(folder, watcher), recursive=True, path=str(folder))

    def start(self) -> None:
        """Begin to watch."""
        self._observer.start()

    def stop(self) -> None:
        """End watching."""
        self._observer.stop()

    def join(self) -> None:
        """Wait until watching has ended."""
        self._observer.join()


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
