"""Arrays of label values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LabelArray = NDArray[np.uint8] | NDArray[np.uint16]
"""The label values of an image, (W, H, D)."""


def smallest_type(values: NDArray[np.number[Any]], highest: int) -> LabelArray:
    """A copy of label values from 0 up to `highest`, in one byte each if that is enough, in their order in memory."""
    return values.astype(np.uint8) if highest < 256 else values.astype(np.uint16)
