"""Maps of uncertainty and probability that were computed for clients, kept so that the next request is quick."""

import gzip
import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.writing import write_atomically

logger = logging.getLogger(__name__)

MOST_BYTES = 2 << 30
"""The most that all maps of a project take on the disk, except that the newest one always stays."""

_ABANDONED_SECONDS = 3600.0
"""An unfinished file that is so old was left by a process that was killed."""


class KeptMaps:
    """A folder of maps. Those that nobody has asked for longest make room for new ones."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        """Keep maps in `folder`, which is created when there is a first one."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()

    def find(self, identity: Sequence[object], ending: str) -> Path | None:
        """The map of this identity, all of what it was computed from; None if it is not kept."""
        file = self._file(identity, ending)
        try:
            os.utime(file)
        except FileNotFoundError:
            return None
        return file

    def keep(self, identity: Sequence[object], ending: str, content: bytes) -> Path:
        """Write a map, completely or not at all, and remove the oldest ones if they are too many.

        Raises:
            OSError: the folder is read-only or full.
        """
        file = self._file(identity, ending)
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, content)
            self._make_room(file)
        return file

    def _file(self, identity: Sequence[object], ending: str) -> Path:
        return self._folder / f"{hashlib.sha256(repr(tuple(identity)).encode()).hexdigest()}{ending}"

    def _make_room(self, newest: Path) -> None:
        states = [(path, state) for path in self._folder.iterdir() if path != newest and (state := _state(path))]
        taken = newest.stat().st_size + sum(state.st_size for _, state in states)
        for path, state in sorted(states, key=lambda item: item[1].st_mtime_ns):
            if taken <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            taken -= state.st_size
            logger.info("a map of %d bytes made room for a newer one", state.st_size)


def _state(path: Path) -> os.stat_result | None:
    """The state of a file that may be removed; None for what another process has just removed, or is writing."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    is_written = path.suffix == ".part" and time.time() - state.st_mtime < _ABANDONED_SECONDS
    return state if stat.S_ISREG(state.st_mode) and not is_written else None


def map_file(values: NDArray[np.float32], affine_ras: NDArray[np.float64], title: str) -> bytes:
    """A map (W, H, D) as the content of a compressed NIfTI file of float32, with its range and a title in the header.

    Viewers take `cal_min` and `cal_max`, here 0 and the largest value, as the window to show.
    """
    image = nibabel.Nifti1Image(values, affine_ras, dtype=np.float32)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = title.encode("ascii", "replace")[:79]
    image.header["cal_min"], image.header["cal_max"] = 0, float(values.max())
    image.set_qform(affine_ras, code="scanner")
    image.set_sform(affine_ras, code="scanner")
    return gzip.compress(image.to_bytes(), compresslevel=1, mtime=0)
