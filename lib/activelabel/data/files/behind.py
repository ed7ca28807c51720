"""Writes files without a wait for the disk, for copies and records, which can be made again: they are made
durable soon after, by a thread.
"""

import atexit
import contextlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from activelabel.backports import ON_WINDOWS
from activelabel.data.files.writing import sync_file, sync_folder, write_atomically

logger = logging.getLogger(__name__)

AT_THE_END_SECONDS = 5.0
"""How long a process that ends waits until the disk has what it wrote."""
_AT_ONCE = 100
"""The most files that the thread looks at together, so that each of their folders is synced once."""


def write_behind(path: Path, content: bytes) -> None:
    """Put `content` at `path`; it survives a power cut soon, without a wait for the disk.

    A power cut before that may leave the earlier file, a part of the new one, or none: what reads it must notice, and
    make it again. On Windows, where a file that is open cannot be replaced, the content is waited for.

    Raises:
        OSError: as `write_atomically`.
    """
    write_atomically(path, content, lasting=False, whole=ON_WINDOWS)
    if not ON_WINDOWS:
        sync_behind(path)


def sync_behind(path: Path, then: Callable[[], None] | None = None) -> None:
    """Have the file at `path`, and its name, survive a power cut soon, and then call `then` in another thread.

    `then` is not called if the disk refuses that, or the file is gone; an `OSError` of its own is logged. Not for files
    that are replaced, on Windows: there an open one cannot be.
    """
    _syncing.hand_over(path, then)


def wait_for_disk(seconds: float = AT_THE_END_SECONDS) -> bool:
    """Wait until the disk has what `write_behind` wrote, for at most `seconds`; return whether it has.

    It takes no lock.
    """
    deadline = time.monotonic() + seconds
    while _syncing.rest and time.monotonic() < deadline:
        time.sleep(0.002)
    return not _syncing.rest


_Waiting = tuple[Path, Callable[[], None] | None]
"""A file, and what is called once the disk has it."""


class _Syncing:
    """A thread, started with the first file, after which files survive a power cut.

    It is a daemon: a disk that stands still does not keep the process from ending.
    """

    def __init__(self) -> None:
        self._files: queue.SimpleQueue[_Waiting] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._handed = self._done = 0

    @property
    def rest(self) -> int:
        """The number of files that the disk may not have yet."""
        return self._handed - self._done

    def hand_over(self, path: Path, then: Callable[[], None] | None) -> None:
        """Add a file. If the thread cannot be started, this warns, and the next call tries to start it again."""
        with self._lock:
            self._handed += 1
            self._files.put((path, then))
            if self._thread is None or not self._thread.is_alive():
                thread = threading.Thread(target=self._run, name="disk", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:
                    _warn(path, str(error))
                else:
                    self._thread = thread

    def _run(self) -> None:
        while True:
            waiting = [self._files.get(), *self._more()]
            synced = [(path, then) for path, then in waiting if _done(path, partial(sync_file, path))]
            folders = {path.parent: path for path, _ in waiting}
            lasting = {folder for folder, path in folders.items() if _done(path, partial(sync_folder, folder))}
            for path, then in synced:
                if then is not None and path.parent in lasting:
                    _done(path, then)
            self._done += len(waiting)

    def _more(self) -> Iterator[_Waiting]:
        """The files that wait too."""
        with contextlib.suppress(queue.Empty):
            for _ in range(_AT_ONCE - 1):
                yield self._files.get_nowait()


def _done(path: Path, action: Callable[[], None]) -> bool:
    """Whether the action succeeds. An error of the disk is logged; what is gone meanwhile is passed over."""
    try:
        action()
    except FileNotFoundError:
        return False
    except OSError as error:
        _warn(path, str(error.strerror))
        return False
    return True


def _warn(path: Path, why: str) -> None:
    logger.warning("%s: may be lost with a power cut, and is then made again: %s", path, why)


_syncing = _Syncing()


def _begin_anew() -> None:
    """Start without files in a forked child, which has no such thread; the parent's files are left to the parent."""
    global _syncing
    _syncing = _Syncing()


atexit.register(wait_for_disk)
if not ON_WINDOWS:
    os.register_at_fork(after_in_child=_begin_anew)
