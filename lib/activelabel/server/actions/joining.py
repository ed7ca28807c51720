"""Answers simultaneous requests for the same file with one computation.

Each request gets a copy of its own, because the file of a request is removed after it was sent.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

Made: TypeAlias = tuple[str, dict[str, Any]]
"""The path of a file, and what the answer says of it."""


class Joined:
    """The files that are being made, and the requests that wait for each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, list[Future[Made]]] = {}

    def make(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Make the file of a key; if another thread is making it, wait and return a copy of that file.

        If `make` raises an error, all that wait get the same error.
        """
        mine: Future[Made] = Future()
        with self._lock:
            is_being_made = key in self._waiting
            self._waiting.setdefault(key, []).append(mine)
        if is_being_made:
            return mine.result()
        try:
            file, told = make()
        except BaseException as error:
            for other in self._end(key):
                other.set_exception(error)
            raise
        for other in self._end(key):
            _give(other, file, told)
        return file, told

    def _end(self, key: Hashable) -> list["Future[Made]"]:
        """The requests that wait for the file, which is not being made any more: the next request makes it again."""
        with self._lock:
            return self._waiting.pop(key)[1:]


def _give(other: "Future[Made]", file: str, told: dict[str, Any]) -> None:
    try:
        other.set_result((_copy(file), {**told}))
    except OSError as error:  # such as a full disk, which does not concern who made the file
        other.set_exception(error)


def _copy(file: str) -> str:
    place, suffix = Path(file).parent, "".join(Path(file).suffixes[-2:])  # .nii.gz is one ending
    with open(file, "rb") as source, tempfile.NamedTemporaryFile(dir=place, suffix=suffix, delete=False) as target:
        shutil.copyfileobj(source, target)
    return target.name
