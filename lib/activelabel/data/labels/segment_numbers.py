"""Segments that a client numbers with gaps: the numbers are either the values in the mask, or count what was left out.

3D Slicer's module numbers all segments and lists those that it sends, whose values are 1, 2, 3 in the order of the
list. Scripts give each segment the number that it has in the mask. The values that are drawn tell these apart, unless
they fit both.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from activelabel.data.labels.arrays import drawn_values
from activelabel.errors import InvalidInputError


def by_place(
    origin: str, whole: NDArray[np.float32], names: Sequence[str], numbers: Sequence[int]
) -> NDArray[np.float32]:
    """The values of a mask as places in the list of segments, counted from 1.

    Args:
        origin: the name of the file, with which an error begins.
        whole: whole numbers, the values of the mask.
        names: the names of the segments.
        numbers: their numbers, rising.

    Returns:
        The mask itself if its values are places already, or fit neither way of counting.

    Raises:
        InvalidInputError: the values fit both ways of counting, which give them different names.
    """
    drawn = drawn_values(whole)
    places = dict(zip(numbers, range(1, len(numbers) + 1), strict=True))
    if not places.keys() >= set(drawn) or all(places[value] == value for value in drawn):
        return whole
    if max(drawn) > len(names):
        return np.where(whole == 0, whole, np.searchsorted(numbers, whole) + 1).astype(np.float32)
    value = next(value for value in drawn if places[value] != value)
    raise InvalidInputError(
        f"{origin}: value {value} is '{names[places[value] - 1]}' by its idx in label_info, '{names[value - 1]}' by "
        f"its place there, and nothing else that is drawn tells which: number the segments 1 to {len(names)} in their "
        "order, or leave every idx out (3D Slicer: remove a segment called background)"
    )
