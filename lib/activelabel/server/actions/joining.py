"""Joins requests for the same file: it is made once, and each gets a copy of its own, as each removes it once sent."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeAlias

Made: TypeAlias = tuple[str, dict[str, Any]]
"""A file, and what is told of it."""


class Joined:
    """Files that are being made now, for whoever asks for them before they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Hashable, list[Future[Made]]] = {}

    def make(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Make the file of a key, or wait until another thread has, and take a copy of its file.

        What goes wrong with the one that makes it goes wrong with all.
        """
        mine: Future[Made] = Future()
        with self._lock:
            is_made = key in self._waiting
            self._waiting.setdefault(key, []).append(mine)
        if is_made:
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
        """Those that wait; whoever asks from now on makes it again."""
        with self._lock:
            return self._waiting.pop(key)[1:]


def _give(other: "Future[Made]", file: str, told: dict[str, Any]) -> None:
    try:
        other.set_result((_copy(file), {**told}))
    except OSError as error:  # the disk is full, say: the one that has made it has its file
        other.set_exception(error)


def _copy(file: str) -> str:
    place, suffix = Path(file).parent, "".join(Path(file).suffixes[-2:])  # .nii.gz is one ending
    with open(file, "rb") as source, tempfile.NamedTemporaryFile(dir=place, suffix=suffix, delete=False) as target:
        shutil.copyfileobj(source, target)
    return target.name
