"""Optional parts of the work: a failure of one is a single warning, and the work goes on without it.

They use files, databases and libraries that may be broken, full or gone, while the training or scoring that they
accompany can succeed.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


@contextmanager
def optional(what_is_missing: str) -> Iterator[None]:
    """Turn a failure within the block into a warning, which begins with `what_is_missing`."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # no kind of failure of an optional part may stop the work
        warn_of(what_is_missing, error)


def warn_of(what_is_missing: str, error: Exception) -> None:
    """Log one line with what is missing and why."""
    first_line = next(iter(str(error).splitlines()), "")
    logger.warning("%s: %s: %s", what_is_missing, type(error).__name__, first_line)


class OptionalPart:
    """An optional part with many steps, of which none is tried after one has failed."""

    def __init__(self, what_is_missing: str) -> None:
        self._what_is_missing = what_is_missing
        self._failed = False

    def run(self, step: Callable[[], object]) -> None:
        """Run a step; a failure is a warning, and the last step."""
        if self._failed:
            return
        try:
            step()
        except Exception as error:  # noqa: BLE001  # as in `optional`
            self._failed = True
            warn_of(self._what_is_missing, error)
