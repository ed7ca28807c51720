"""Parts of a measurement that go wrong in the ways in which a GPU does, for `test_gpu.py`."""

import os
import time
from collections.abc import Iterator

from benchmarks.gpu.timing import Conditions, Row


def machine(conditions: Conditions) -> Iterator[Row]:
    """The machine, which always answers."""
    yield {"device": "a made-up one"}


def whole(conditions: Conditions) -> Iterator[Row]:
    """Two rows, one of which is left out."""
    yield {"network": "quick", "forward s": 0.5}
    conditions.leave_out("rahimi2022", "it is not here")


def broken(conditions: Conditions) -> Iterator[Row]:
    """An error after a row."""
    yield {"network": "quick", "forward s": 0.5}
    raise RuntimeError("the device is gone")


def dead(conditions: Conditions) -> Iterator[Row]:
    """A process that ends without a word after a row."""
    yield {"network": "quick", "forward s": 0.5}
    time.sleep(0.2)
    os._exit(7)


def hanging(conditions: Conditions) -> Iterator[Row]:
    """A row, and then no end."""
    yield {"network": "quick", "forward s": 0.5}
    time.sleep(600)
