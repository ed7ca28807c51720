"""Arrays of label values."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LabelArray = NDArray[np.uint8] | NDArray[np.uint16]
"""The label values of an image, (W, H, D)."""


_FEW = 2**16
Box = tuple[slice, slice, slice]
"""A part of a volume, by its indices along each axis."""


def smallest_type(values: NDArray[np.number[Any]], highest: int) -> LabelArray:
    """Label values from 0 up to `highest`, in one byte each if that is enough, in their order in memory.

    It is a copy, unless they are of that type already.
    """
    return values.astype(np.uint8, copy=False) if highest < 256 else values.astype(np.uint16, copy=False)


def drawn_box(values: NDArray[np.number[Any]]) -> Box:
    """The smallest box of a volume (W, H, D) with all values in it that are not 0; an empty one if all are 0.

    A label mostly draws on a small part of its image, and looking for that part takes less than any work on the rest.
    """
    box = [slice(None)] * 3
    for axis in sorted(range(3), key=lambda axis: -abs(values.strides[axis])):  # first what is cut off in one piece
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(values[tuple(box)].any(axis=others))
        box[axis] = slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)
    return box[0], box[1], box[2]


def drawn_values(values: NDArray[np.number[Any]]) -> list[int]:
    """The whole numbers that occur in a volume, without 0, rising."""
    drawn = values[drawn_box(values)]
    if drawn.dtype.kind in "iu" and drawn.min(initial=0) >= 0 and drawn.max(initial=0) < _FEW:
        occurs = np.zeros(_FEW, dtype=bool)  # in a tenth of the time that sorting takes
        occurs[drawn] = True
        return [int(value) for value in np.flatnonzero(occurs) if value]
    return [int(value) for value in np.unique(drawn) if value]
