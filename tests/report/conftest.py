"""What tests of reports share."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="package", autouse=True)
def _quick_collections() -> Iterator[None]:
    """statsmodels collects garbage at each correction of p-values, and walks over all that was ever imported."""
    gc.freeze()
    yield
    gc.unfreeze()
