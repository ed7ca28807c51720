"""One thread of a process reads an image: another that needs it meanwhile waits, and finds it read."""

import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class OneReader:
    """Locks by key; a key takes no room while nobody holds it."""

    def __init__(self) -> None:
        self._changing = threading.Lock()
        self._locks: dict[Hashable, tuple[threading.Lock, int]] = {}

    @contextmanager
    def alone(self, key: Hashable) -> Iterator[bool]:
        """Be the only thread in a block of this key; whether another one was in it before."""
        with self._changing:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = lock, users + 1
        try:
            with lock:
                yield users > 0
        finally:
            with self._changing:
                lock, users = self._locks.pop(key)
                if users > 1:
                    self._locks[key] = lock, users - 1
