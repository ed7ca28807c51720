"""Fixtures that tests of reports share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _quick_collections() -> Iterator[None]:
    """Skip the garbage collection of statsmodels at each correction of p-values, which visits all imported modules."""
    gc.freeze()
    yield
    gc.unfreeze()
