"""Writing a file completely or not at all."""

import errno
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from activelabel.backports import ON_WINDOWS

_PIECE = 2**20
UNFINISHED = ".part"
_UNFINISHED_NAME = re.compile(rf"\.(.+)\.[0-9a-f]{{8}}{re.escape(UNFINISHED)}", re.DOTALL)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers of the system for a full disk."""
CANNOT_BE_WRITTEN = (*NO_ROOM, errno.EROFS, errno.EACCES, errno.EPERM)
"""Error numbers of the system for a full or read-only disk."""
Stamp = tuple[int, int, int]
"""Of a file its size, and the times of modification and of its entry in nanoseconds."""


def write_atomically(path: Path, content: bytes | memoryview, *, lasting: bool = True, whole: bool = True) -> None:
    """Put `content` at `path`: at every moment, also after a power cut, the file is the earlier one or the new one.

    If it is not `lasting`, the earlier one may come back with a power cut: for copies that can be made again, which
    then cost one wait for the disk less. If it need not be `whole` after a power cut either, because its reader
    notices, nothing waits for the disk.

    The unfinished file lies in the same folder under a name that ends in `.part`, which readers of images and models
    ignore.

    Raises:
        OSError: the folder is missing, read-only or full; `path` is then unchanged, and no other file is left.
    """
    UnfinishedFile(path, content).finish(lasting=lasting, whole=whole)


def unfinished_file(path: Path) -> Path:
    """A free place for a file that is to be put at `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{UNFINISHED}")


def finished_name(name: str) -> str | None:
    """The name that an unfinished file is to have; None if this is not the name of one."""
    match = _UNFINISHED_NAME.fullmatch(name) if name.endswith(UNFINISHED) else None
    return None if match is None else match[1]


class UnfinishedFile:
    """A file whose content is written, but which is not yet at its place: `write_atomically` in two steps.

    Attributes:
        stamp: once it is finished, its size and its time of modification in nanoseconds.
    """

    stamp: tuple[int, int]

    def __init__(self, path: Path, content: bytes | memoryview | Iterable[bytes]) -> None:
        """Write `content`, which may come in pieces, beside `path`. Raises OSError as `write_atomically` does."""
        self._path = path
        self._unfinished = unfinished_file(path)
        try:
            self._file = self._unfinished.open("xb")
            try:
                self._file.writelines([content] if isinstance(content, bytes | memoryview) else content)
                self._file.flush()
            except BaseException:
                self._file.close()
                raise
        except BaseException:
            self._unfinished.unlink(missing_ok=True)
            raise

    def finish(self, *, lasting: bool = True, whole: bool = True) -> None:
        """Put it at its place; see `write_atomically`."""
        try:
            with self._file:
                if whole:
                    os.fsync(self._file.fileno())
            status = self._unfinished.stat()  # NFS and NTFS settle the time when the file is closed
            self.stamp, self._inode = (status.st_size, status.st_mtime_ns), status.st_ino
            self._unfinished.replace(self._path)
        except BaseException:
            self._unfinished.unlink(missing_ok=True)
            raise
        if lasting:
            sync_folder(self._path.parent)

    def stamp_at_its_place(self) -> Stamp | None:
        """The stamp of the finished file, of which the renaming changes a time.

        None if another file, or none, is at its place now: another program may have moved it away.
        """
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return None
        is_ours = (status.st_ino, status.st_size, status.st_mtime_ns) == (self._inode, *self.stamp)
        return file_stamp(status) if is_ours else None

    def finish_beside(self) -> Callable[[], None]:
        """Put it at its place in a thread, lasting. The result waits for that, and raises what went wrong."""
        failed: list[BaseException] = []

        def run() -> None:
            try:
                self.finish()
            except BaseException as error:  # noqa: BLE001  # raised in the thread that waits
                failed.append(error)

        thread = threading.Thread(target=run, name="disk")
        thread.start()

        def wait() -> None:
            thread.join()
            if failed:
                raise failed[0]

        return wait


def file_stamp(status: os.stat_result) -> Stamp:
    """What differs once somebody else has written a file, also if they keep its size and its time of modification.

    It differs after a copy, too. On Windows, whose last time is that of the file's creation, a file that was written
    anew with its size and time of modification looks unchanged.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def write_if_changed(path: Path, parts: Iterator[bytes]) -> tuple[bool, Stamp | None]:
    """Put the parts at `path` as `write_atomically` does, unless the file has just this content.

    Nothing is written while the content is the same, nor is the whole kept in memory.

    Returns:
        Whether it was put, and the stamp of the file with this content; None if another program has already written
        it again.

    Raises:
        OSError: as `write_atomically`.
    """
    same, part = 0, b""
    if path.is_file():
        with path.open("rb") as file:
            stamp = file_stamp(os.fstat(file.fileno()))
            for part in parts:
                if file.read(len(part)) != part:
                    break
                same += len(part)
            else:
                if not file.read(1):
                    return False, stamp
                part = b""
    unfinished = UnfinishedFile(path, chain(_beginning(path, same), [part], parts))
    unfinished.finish()
    return True, unfinished.stamp_at_its_place()


def _beginning(path: Path, size: int) -> Iterator[bytes]:
    if size:
        with path.open("rb") as file:
            while size and (piece := file.read(min(size, _PIECE))):
                size -= len(piece)
                yield piece


def make_lasting_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, whose names then survive a power cut."""
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(exist_ok=True, parents=True)
    for one in made:
        sync_folder(one.parent)


def sync_file(path: Path) -> None:
    """Make the content of a file survive a power cut."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; Windows has no way to ask for that."""
    if ON_WINDOWS:
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
