"""Says in the log how far a work over many images is, and how long the others will take."""

import logging
import time
from datetime import timedelta

logger = logging.getLogger(__name__)


class Remaining:
    """A count of what is done of `total`, begun when it is made."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._started = time.monotonic()

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        seconds = (time.monotonic() - self._started) / self._done * (self._total - self._done)
        logger.info("%s %d of %d, %s left", self._what, self._done, self._total, timedelta(seconds=round(seconds)))
