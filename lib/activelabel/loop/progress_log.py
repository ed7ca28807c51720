"""Logs the progress of a task over many images and the remaining time."""

import logging
import time
from datetime import timedelta

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
