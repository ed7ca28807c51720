"""The room that prepared images take on the disk: those that were used longest ago make room for others."""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from activelabel.prediction.prepared.file import ENDING, UNFINISHED

SHARE_OF_FREE = 0.2
"""The share of a disk's free room that prepared images take by default."""
_EMPTIED_TO = 0.95
"""The share of the limit to which files are removed, so that not every new file has all of them listed."""
_ABANDONED_S = 3600
"""An unfinished file of this age is of a process that was killed: no image takes so long to write."""
LOCK = "lock"


@dataclass(frozen=True)
class _Entry:
    path: Path
    size: int
    used_at: float


class Room:
    """The bounded room of a folder, for one pass over images: what this pass has used is not removed by it.

    A pass over more images than fit would otherwise remove each before its next use. Several processes may use one
    folder: a lock makes their removals take turns.
    """

    def __init__(self, folder: Path, limit_bytes: int | None) -> None:
        """`limit_bytes` None: a share of the free disk."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._began_at = time.time()
        self._held_bytes: int | None = None

    def has_for(self, size: int) -> bool:
        """Whether there is room for a file of `size` bytes, after older ones have been removed for it."""
        if self._held_bytes is None:
            self._held_bytes = sum(entry.size for entry in _entries(self._folder))
        limit = self._limit()
        if self._held_bytes + size > limit:
            self._remove_down_to(max(int(limit * _EMPTIED_TO) - size, 0))
        if self._held_bytes + size > limit:
            return False
        self._held_bytes += size
        return True

    def _limit(self) -> int:
        if self._limit_bytes is None:
            free = shutil.disk_usage(self._folder).free + (self._held_bytes or 0)
            self._limit_bytes = int(free * SHARE_OF_FREE)
        return self._limit_bytes

    def _remove_down_to(self, wanted_bytes: int) -> None:
        with FileLock(self._folder / LOCK):
            entries = sorted(_entries(self._folder), key=lambda entry: entry.used_at)
            held = sum(entry.size for entry in entries)
            for entry in entries:
                if held <= wanted_bytes or entry.used_at >= self._began_at:
                    break
                held -= entry.size if _removed(entry.path) else 0
            _remove_abandoned(self._folder)
        self._held_bytes = held


def mark_used(path: Path) -> None:
    """Note that a file was used now; one that another process has just removed is none any more."""
    try:
        os.utime(path)
    except OSError:  # gone, or of another user: then only its age is wrong
        return


def _entries(folder: Path) -> Iterator[_Entry]:
    with os.scandir(folder) as files:
        for file in files:
            if file.name.endswith(ENDING) and "-" in file.name:
                try:
                    state = file.stat()
                except FileNotFoundError:  # another process has removed it
                    continue
                yield _Entry(Path(file.path), state.st_size, state.st_mtime)


def _removed(path: Path) -> bool:
    """Whether a file is removed; Windows keeps one that a process has mapped."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    """Remove what killed processes have left unfinished."""
    for path in folder.glob(f".*{UNFINISHED}"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_S:
                path.unlink()
        except OSError:  # finished or removed meanwhile
            continue
