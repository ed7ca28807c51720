"""Files that the user alone may read, and the sign by which one Slicer tells that another still runs."""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

FOLDER_RIGHTS, FILE_RIGHTS = 0o700, 0o600
"""On Windows these mean nothing: there the user's profile, in which the files lie, is closed to others."""
PART = ".part"
"""The ending of a file that is being written."""


def private_folder(folder: Path) -> Path:
    """Make a folder that the user alone may open, or close an older one to others.

    Raises:
        OSError: the disk is full, or the folder belongs to somebody else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_RIGHTS)
    return folder


def write_whole(file: Path, text: str) -> None:
    """Write a file completely or not at all: what was there before stays until then.

    Raises:
        OSError: the disk is full, for example.
    """
    part = file.with_name(f"{file.name}.{uuid.uuid4().hex[:8]}{PART}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_RIGHTS)
        with open(handle, "w", encoding="utf-8") as written:
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def make_durable(file: Path) -> None:
    """Close a written file to others, and wait until it is on the disk."""
    file.chmod(FILE_RIGHTS)
    with file.open("rb+") as written:
        os.fsync(written.fileno())


class Presence:
    """The sign of one process: a lock on a file, which the system takes away when the process ends, however it ends."""

    def __init__(self, file: Path) -> None:
        """Give the sign, if nobody else gives it: see `held`.

        Raises:
            OSError: the file cannot be made, or this disk has no locks.
        """
        self._file = file
        self._open: IO[bytes] | None = open(os.open(file, os.O_RDWR | os.O_CREAT, FILE_RIGHTS), "rb+")  # noqa: SIM115
        try:
            _lock(self._open)
        except (BlockingIOError, PermissionError):  # of POSIX, of Windows: another process has it
            self._open.close()
            self._open = None
        except OSError:
            self._open.close()
            raise

    @property
    def held(self) -> bool:
        """Whether this process gives the sign; else another one does."""
        return self._open is not None

    def end(self) -> None:
        """Take the sign away."""
        if self._open is not None:
            self._open.close()
            self._open = None
            with suppress(PermissionError):  # Windows removes no file at which another process looks just now
                self._file.unlink(missing_ok=True)


def _lock(file: IO[bytes]) -> None:
    """Lock a file for this process, or fail at once."""
    if sys.platform == "win32":
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
