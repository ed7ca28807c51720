"""Noticing that an image or a label came, went or changed, anywhere below the studies folder."""

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
    """Who is told."""

    def on_change(self) -> None:
        """Something may have come, gone or changed."""

    def on_put_in_place(self, target: Path) -> None:
        """A file was put in place whole, under its final name."""


class FolderWatch:
    """Tells a watcher of the images and labels below folders, and of the host's listing, but not of the project."""

    def __init__(self, folders: Iterable[Path], watcher: Watcher, by_looking: bool) -> None:
        """Watch `folders`; `by_looking` at them again and again where the system does not tell, as on a network's."""
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
        """An image, label or folder of some is there."""
        self._tell(event, self._watcher.on_change)

    def on_deleted(self, event: FileSystemEvent) -> None:
        """An image, label, folder of some, or the listing is gone."""
        self._tell(event, self._watcher.on_change)

    def on_modified(self, event: FileSystemEvent) -> None:
        """An image may have been mended."""
        if not event.is_directory and Path(os.fsdecode(event.src_path)).name != LISTING:
            self._tell(event, self._watcher.on_change)

    def on_moved(self, event: FileSystemEvent) -> None:
        """Something was put in place, renamed or taken away."""
        target = Path(os.fsdecode(event.dest_path))
        if not event.is_directory and self._concerns(target, is_folder=False):
            self._watcher.on_put_in_place(target)
        else:
            self._tell(event, self._watcher.on_change)

    def _tell(self, event: FileSystemEvent, told: Callable[[], None]) -> None:
        if self._concerns(Path(os.fsdecode(event.src_path)), event.is_directory):
            told()

    def _concerns(self, path: Path, is_folder: bool) -> bool:
        below = path.relative_to(self._folder).parts
        if not below or below[0] == PROJECT_FOLDER or any(map(is_hidden, below)):
            return False
        return is_folder or bool(ending_of(path.name)) or is_dicom(path.name) or below == (LISTING,)
