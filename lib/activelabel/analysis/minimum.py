"""The least value of a function of one number. `scipy.optimize` would do, but takes half a second to import."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

_POINTS = 101
_ZOOMS = 6
"""Each zoom narrows the range to a fiftieth: after six, the differences of a smooth function are rounding."""


def least_at(values: Callable[[Vector], Vector], points: Vector) -> float:
    """Where a function is least: at the best of rising points, or between that and its neighbours.

    Args:
        values: the function, of many points at once; without a second valley between two neighbours.
        points: from the least to the largest number that is allowed, two or more.
    """
    for _ in range(_ZOOMS):
        best = int(np.argmin(values(points)))
        points = np.linspace(points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)], _POINTS)
    return float(points[np.argmin(values(points))])
