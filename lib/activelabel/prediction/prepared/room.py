"""The room that prepared images take on the disk: those that were used longest ago make room for others."""

import os
import shutil
import time
from pathlib import Path

from filelock import FileLock

from activelabel.data.files.eviction import KeptFile, kept_files, remove_abandoned, remove_oldest
from activelabel.prediction.prepared.file import ENDING

SHARE_OF_FREE = 0.2
"""The share of a disk's free room that prepared images take by default."""
_EMPTIED_TO = 0.95
"""The share of the limit to which files are removed, so that not every new file has all of them listed."""
_COUNTED_AFTER = 0.02
"""The share of the limit that a process adds before it counts again what is there, to which others may have added."""
LOCK = "lock"


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
        self._added_bytes = 0
        """What was added since this was counted."""

    def has_for(self, size: int) -> bool:
        """Whether there is room for a file of `size` bytes, after older ones have been removed for it."""
        if self._held_bytes is None or self._added_bytes > self._limit() * _COUNTED_AFTER:
            self._held_bytes, self._added_bytes = sum(file.size for file in _prepared(self._folder)), 0
        limit = self._limit()
        if self._held_bytes + size > limit:
            self._remove_down_to(max(int(limit * _EMPTIED_TO) - size, 0))
        if self._held_bytes + size > limit:
            return False
        self._held_bytes += size
        self._added_bytes += size
        return True

    def _limit(self) -> int:
        if self._limit_bytes is None:
            free = shutil.disk_usage(self._folder).free + (self._held_bytes or 0)
            self._limit_bytes = int(free * SHARE_OF_FREE)
        return self._limit_bytes

    def _remove_down_to(self, wanted_bytes: int) -> None:
        with FileLock(self._folder / LOCK):
            files = _prepared(self._folder)
            self._held_bytes = remove_oldest(files, wanted_bytes, lambda file: file.used_at >= self._began_at)
            self._added_bytes = 0
            remove_abandoned(self._folder)


def mark_used(path: Path) -> None:
    """Note that a file was used now; one that another process has just removed is none any more."""
    try:
        os.utime(path)
    except OSError:  # gone, or of another user: then only its age is wrong
        return


def _prepared(folder: Path) -> list[KeptFile]:
    return kept_files(folder, lambda name: name.endswith(ENDING) and "-" in name)
