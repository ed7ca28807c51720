"""Writing without waiting for the disk, which takes milliseconds each time: no test needs its files after a power cut.

PostgreSQL's of the tests does so too; other processes that tests start wait as they do for users.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_ENGINES = "activelabel.store.connection.engines"


@contextmanager
def unsynced() -> Iterator[None]:
    """Sync neither files nor new connections to SQLite ledgers of this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _only_look)
        if _ENGINES in sys.modules:  # or no ledger is used
            patch.setattr(f"{_ENGINES}._SYNCHRONOUS", "OFF")
        yield


def _only_look(descriptor: int) -> None:
    """Raise what `os.fsync` does for a closed file."""
    os.fstat(descriptor)
