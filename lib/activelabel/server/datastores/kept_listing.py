"""What a large listing says, beside it in a form that is read in a fraction of the time.

It counts as long as the host's file is the one that it was written for: whoever edits that is believed.
"""

import json
import logging
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from activelabel.data.files.many.path_table import PathTable, TextColumn
from activelabel.data.files.writing import Stamp, UnfinishedFile, file_stamp
from activelabel.server.datastores.delayed_call import NotesFailure
from activelabel.server.datastores.listed_images import ListedImages, Times

logger = logging.getLogger(__name__)

KEPT = "datastore_v2.kept"
"""Its name in the project's folder."""
LARGE = 2**20
"""Of a listing with fewer bytes nothing is kept."""
_FORMAT = 2


@dataclass
class KeptListing(NotesFailure):
    """The file in which a listing is kept, and the host's file of the same content."""

    file: Path
    listing: Path
    _is_damaged: bool = field(default=False, init=False)
    _is_told: bool = field(default=False, init=False)

    def is_current(self) -> bool:
        """Whether it belongs to the host's file as it is."""
        head = None if self._is_damaged else self._head()
        return head is not None and head.get("listing") == self._stamp()

    def keep(self, images: ListedImages, noted: bytes, stamp: Stamp | None) -> None:
        """Do what `write` does if the disk allows it: else the next start is only slower, which is told once."""
        if stamp is None:  # somebody has written the host's file meanwhile, or its disk gives no lasting stamp
            self._failed_at = time.monotonic()
            return
        try:
            self.write(images, noted, stamp)
        except OSError as error:
            if not self._is_told:
                logger.warning("%s cannot be written (%s): the next start takes longer", self.file, error)
            self._failed_at, self._is_told = time.monotonic(), True
        else:
            self._failed_at, self._is_told = None, False

    def write(self, images: ListedImages, noted: bytes, stamp: Stamp) -> None:
        """Keep what the host's file says that has this stamp; `noted` is the JSON of the noted images by id."""
        if stamp[0] < LARGE:
            self.file.unlink(missing_ok=True)
            return
        parts = [images.files.ids.packed, images.files.paths.packed, images.times.astype("<i8").tobytes(), noted]
        head = {
            "format": _FORMAT,
            "listing": stamp,
            "lengths": [len(part) for part in parts],
            "are_plain": images.files.are_plain,
            "crc32": _checksum(parts),
        }
        content = [json.dumps(head).encode(), b"\n", *parts]  # joined, they would be there twice
        UnfinishedFile(self.file, content).finish(lasting=False, whole=False)
        self._is_damaged = False

    def read(self) -> tuple[PathTable, Times, dict[str, Any]] | None:
        """The files, since when they are known, and the entries of the noted images; None if the host's file counts."""
        head = self._head()
        if head is None or head.get("listing") != self._stamp():
            return None
        try:
            return self._content(head)
        except (OSError, ValueError, KeyError, TypeError):
            self._is_damaged = True
            return None

    def _content(self, head: dict[str, Any]) -> tuple[PathTable, Times, dict[str, Any]]:
        parts = list(self._parts(head["lengths"]))
        if head["format"] != _FORMAT or _checksum(parts) != head["crc32"]:
            raise ValueError("expected what was written")
        ids, paths = TextColumn(parts[0]), TextColumn(parts[1])
        times = np.frombuffer(parts[2], "<i8").astype(np.int64)
        if not len(ids) == len(paths) == len(times):
            raise ValueError("expected a path and a time for each image")
        return PathTable(ids, paths, are_plain=head["are_plain"] is True), times, json.loads(parts[3])

    def _head(self) -> dict[str, Any] | None:
        try:
            with self.file.open("rb") as opened:
                head = json.loads(opened.readline(2**16))
        except (OSError, ValueError):
            return None
        return head if isinstance(head, dict) else None

    def _parts(self, lengths: object) -> Iterator[bytes]:
        if not isinstance(lengths, list) or len(lengths) != 4:
            raise ValueError("expected four parts")
        with self.file.open("rb") as opened:
            opened.readline()
            for length in lengths:
                yield opened.read(int(length))

    def _stamp(self) -> list[int] | None:
        try:
            status = self.listing.stat()
        except OSError:
            return None
        return list(file_stamp(status))


def _checksum(parts: list[bytes]) -> int:
    number = 0
    for part in parts:
        number = zlib.crc32(part, number)
    return number
