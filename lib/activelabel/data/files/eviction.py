"""Files that can be made again: those that were used longest ago make room for others. Processes may share a folder."""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from activelabel.data.files.writing import finished_name

_ABANDONED_SECONDS = 3600.0
"""An unfinished file of this age was left by a process that was killed: none takes so long to write."""


@dataclass(frozen=True)
class KeptFile:
    """A file, its size in bytes, and when it was used last."""

    path: Path
    size: int
    used_at: float


def kept_files(folder: Path, is_kept: Callable[[str], bool]) -> list[KeptFile]:
    """The files of a folder whose names `is_kept` tells, without those that another process removes meanwhile."""
    found = []
    with os.scandir(folder) as files:
        for file in files:
            if not is_kept(file.name):
                continue
            try:
                state = file.stat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(state.st_mode):
                found.append(KeptFile(Path(file.path), state.st_size, state.st_mtime))
    return found


def remove_oldest(files: Iterable[KeptFile], wanted_bytes: int, stays: Callable[[KeptFile], bool]) -> int:
    """Remove files until `wanted_bytes` are left, those first that were used longest ago; return how many are left.

    Files that `stays` tells are not removed, nor those that Windows keeps because a process has mapped them.
    """
    oldest_first = sorted(files, key=lambda file: file.used_at)
    held = sum(file.size for file in oldest_first)
    for file in oldest_first:
        if held <= wanted_bytes:
            break
        if not stays(file) and _removed(file.path):
            held -= file.size
    return held


def remove_abandoned(folder: Path, before: Mapping[str, float] = MappingProxyType({})) -> None:
    """Remove unfinished files of `write_atomically` that killed processes have left.

    `before` gives for the names of files, of which nobody has begun one since, that time in seconds since 1970.
    """
    hour_ago = time.time() - _ABANDONED_SECONDS
    with os.scandir(folder) as files:
        for file in files:
            name = finished_name(file.name)
            if name is None:
                continue
            with contextlib.suppress(OSError):  # finished or removed meanwhile
                if file.stat(follow_symlinks=False).st_mtime < before.get(name, hour_ago):
                    Path(file.path).unlink()


def _removed(path: Path) -> bool:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        return False
    return True
