"""Optional parts of the work: a failure of one is a single warning, and the work goes on without it.

They use files, databases and libraries that may be broken, full or gone, while the training or scoring that they
accompany can succeed.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # Only a training needs it.
    from ignite.engine import Engine

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


def optional_step(what_is_missing: str, step: Callable[["Engine"], object]) -> Callable[["Engine"], None]:
    """An engine handler that calls `step` until it fails for the first time."""
    failed = False

    def handle(engine: "Engine") -> None:
        nonlocal failed
        if failed:
            return
        try:
            step(engine)
        except Exception as error:  # noqa: BLE001  # as in `optional`
            failed = True
            warn_of(what_is_missing, error)

    return handle
