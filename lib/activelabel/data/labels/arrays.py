"""Arrays of label values."""

import numpy as np
from numpy.typing import NDArray

LabelArray = NDArray[np.uint8] | NDArray[np.uint16]
"""The label values of an image, (W, H, D)."""


def smallest_type(values: NDArray[np.uint16], highest: int) -> LabelArray:
    """Label values up to `highest`, in one byte each if that is enough."""
    return values.astype(np.uint8) if highest < 256 else values
