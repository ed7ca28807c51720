"""Maps of uncertainty and probability that were computed for clients, kept so that the next request is quick."""

import gzip
import hashlib
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.files.eviction import kept_files, remove_abandoned, remove_oldest
from activelabel.data.files.writing import write_atomically

logger = logging.getLogger(__name__)

MOST_BYTES = 2 << 30
"""The most that all maps of a project take on the disk, except that the newest one always stays."""


class KeptMaps:
    """A folder of maps. Those that nobody has asked for longest make room for new ones."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        """Keep maps in `folder`, which is created when there is a first one."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._lock = threading.Lock()

    def find(self, image_id: str, how: Sequence[object], ending: str) -> Path | None:
        """The map of an image, found by all else that it was computed from; None if it is not kept."""
        file = self._file(image_id, how, ending)
        try:
            os.utime(file)
        except FileNotFoundError:
            return None
        return file

    def keep(self, image_id: str, how: Sequence[object], ending: str, content: bytes) -> Path:
        """Write a map, completely or not at all, and remove the oldest ones if they are too many.

        Raises:
            OSError: the folder is read-only or full.
        """
        file = self._file(image_id, how, ending)
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(file, content)
            self._make_room(file)
        return file

    def forget(self, image_id: str) -> None:
        """Remove all maps of an image, which is gone."""
        for file in self._folder.glob(f"{_prefix(image_id)}-*"):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("a map of '%s', which is gone, cannot be removed from %s: %s", image_id, file, error)

    def _file(self, image_id: str, how: Sequence[object], ending: str) -> Path:
        rest = hashlib.sha256(repr(tuple(how)).encode()).hexdigest()
        return self._folder / f"{_prefix(image_id)}-{rest}{ending}"

    def _make_room(self, newest: Path) -> None:
        files = kept_files(self._folder, lambda name: not name.startswith("."))
        before = sum(file.size for file in files)
        after = remove_oldest(files, self._most_bytes, lambda file: file.path == newest)
        if after < before:
            logger.info("maps of %d bytes made room for a newer one", before - after)
        for file in self._folder.glob("*"):
            if "-" not in file.name and not file.name.startswith("."):  # of an earlier version: nobody finds it
                file.unlink(missing_ok=True)
        remove_abandoned(self._folder)


def _prefix(image_id: str) -> str:
    """The beginning of the names of all maps of an image."""
    return hashlib.sha256(image_id.encode()).hexdigest()[:16]


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
