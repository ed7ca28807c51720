"""Logs the progress of a task over many images and the remaining time."""

import json
import logging
import time
from datetime import timedelta
from pathlib import Path

from activelabel.data.files.writing import write_atomically
from activelabel.optional_parts import OptionalPart

logger = logging.getLogger(__name__)


class Remaining:
    """A count of finished items out of `total`; the time runs from its creation."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def advance(self) -> None:
        """Count one more item as finished."""
        self._done += 1
        seconds = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        logger.info("%s %d of %d, %s left", self._what, self._done, self._total, timedelta(seconds=round(seconds)))


class SharedCount:
    """How much of a work is done, in a file that other processes read; it is there only while the work goes on."""

    def __init__(self, file: Path, total: int) -> None:
        self._file = file
        self._total = total
        self._started = time.monotonic()
        self._writing = OptionalPart("clients do not see how far the scoring is")
        self.show(0)

    def show(self, done: int) -> None:
        """Write that this much is done, and how long the rest will take."""
        seconds = (time.monotonic() - self._started) / done * max(self._total - done, 0) if done else None
        shown = {"done": done, "all": self._total, "seconds_left": seconds}
        self._writing.run(lambda: write_atomically(self._file, json.dumps(shown).encode()))

    def remove(self) -> None:
        """Remove the file, because the work is over."""
        self._file.unlink(missing_ok=True)
