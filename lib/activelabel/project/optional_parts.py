"""Parts of the work that are good to have: whatever of one fails is one warning, and the work goes on without it.

They live in files, databases and libraries that may be broken, full or gone, which says nothing about the training or
the scoring that they go with.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # A scoring has no use for it.
    from ignite.engine import Engine

logger = logging.getLogger(__name__)


@contextmanager
def optional(what_is_missing: str) -> Iterator[None]:
    """Pass over a failure within; the warning begins with what is missing then."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # no kind of failure of an optional part may stop the work
        warn_of(what_is_missing, error)


def warn_of(what_is_missing: str, error: Exception) -> None:
    """Say in one line what is missing, and why."""
    first_line = next(iter(str(error).splitlines()), "")
    logger.warning("%s: %s: %s", what_is_missing, type(error).__name__, first_line)


def optional_step(what_is_missing: str, step: Callable[["Engine"], object]) -> Callable[["Engine"], None]:
    """A handler of an engine that calls `step` until it fails for the first time."""
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
