"""Closed contours of one plane as pixels: the pixel centres that they enclose, and those that lie on them.

Coordinates are pixel indices: a pixel's centre lies at whole numbers. Contours are combined by exclusive disjunction
(XOR): an inner one is a hole, and one within the hole an island (DICOM PS3.3 C.8.8.6.3).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from activelabel.errors import InvalidInputError

Contour = NDArray[np.float64]
"""The corners (N, 2) of a contour; the last is connected to the first."""
ON_LINE_PIXELS = 0.01
"""A pixel centre this near to a contour lies on it: coordinates are stored with few decimals."""
MOST_CROSSINGS = 2**26
"""The most crossings of a plane's contours with its pixel lines; each takes some bytes during filling."""


def enclosed(contours: Sequence[Contour], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Bool of `shape`: the pixels whose centre is enclosed by an odd number of contours.

    A centre on a contour counts as enclosed on its lower sides only, so that areas with a common side share no pixel.

    Raises:
        InvalidInputError: the contours cross more lines than `MOST_CROSSINGS`.
    """
    start, end = _edges(contours)
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    edge, line = _steps(np.ceil(low), np.ceil(high) - 1, shape[1])
    share = (line - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
    crossing = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
    # Beyond a crossing, the line is on the other side of the edge.
    first = np.clip(np.ceil(crossing), 0, shape[0]).astype(np.intp)
    turns = np.bincount(first * shape[1] + line, minlength=(shape[0] + 1) * shape[1])
    return np.asarray(np.cumsum(turns.reshape(-1, shape[1]), axis=0)[:-1] % 2 == 1)


def on_line(contours: Sequence[Contour], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Bool of `shape`: the pixels whose centre lies on a contour, including contours of one or two points.

    Raises:
        InvalidInputError: as `enclosed`.
    """
    marked = np.zeros(shape, dtype=bool)
    start, end = _edges(contours)
    along = np.abs(end - start).argmax(axis=1)
    for axis in (0, 1):
        _mark(marked, start[along == axis], end[along == axis], axis)
    return marked


def _mark(marked: NDArray[np.bool_], start: NDArray[np.float64], end: NDArray[np.float64], axis: int) -> None:
    """Mark the centres on edges that run along `axis` rather than across it."""
    low, high = np.minimum(start[:, axis], end[:, axis]), np.maximum(start[:, axis], end[:, axis])
    first, last = np.ceil(low - ON_LINE_PIXELS), np.floor(high + ON_LINE_PIXELS)
    edge, line = _steps(first, last, marked.shape[axis])
    origin, reach = start[edge], (end - start)[edge]
    share = np.divide(line - origin[:, axis], reach[:, axis], out=np.zeros(len(edge)), where=reach[:, axis] != 0)
    pixel = np.rint(origin[:, 1 - axis] + np.clip(share, 0, 1) * reach[:, 1 - axis])
    from_origin = np.stack([line, pixel] if axis == 0 else [pixel, line], axis=1) - origin
    square = (reach**2).sum(axis=1)
    nearest = np.divide((from_origin * reach).sum(axis=1), square, out=np.zeros(len(edge)), where=square > 0)
    distance = np.linalg.norm(from_origin - np.clip(nearest, 0, 1)[:, None] * reach, axis=1)
    its = (distance <= ON_LINE_PIXELS) & (pixel >= 0) & (pixel < marked.shape[1 - axis])
    place = [line[its], pixel[its].astype(np.intp)]
    marked[place[axis], place[1 - axis]] = True


def _edges(contours: Sequence[Contour]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both ends of every edge: (E, 2) each."""
    if not contours:
        return np.zeros((0, 2)), np.zeros((0, 2))
    return np.concatenate(list(contours)), np.concatenate([np.roll(contour, -1, axis=0) for contour in contours])


def _steps(
    first: NDArray[np.float64], last: NDArray[np.float64], size: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All whole numbers from `first` to `last` of each edge, within `size`: indices of edges, and the numbers."""
    begin = np.clip(first, 0, size).astype(np.intp)
    count = np.maximum(np.clip(last, -1, size - 1).astype(np.intp) - begin + 1, 0)
    total = int(count.sum())
    if total > MOST_CROSSINGS:
        raise InvalidInputError(
            f"the contours of a plane cross its pixels {total:,} times, expected {MOST_CROSSINGS:,} at most: draw them "
            "with fewer points"
        )
    edge = np.repeat(np.arange(len(count)), count)
    return edge, np.arange(total) - np.repeat(np.cumsum(count) - count, count) + begin[edge]
