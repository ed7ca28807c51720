"""Digests of the slices of a label: they tell which slices of two labels are equal without reading the labels again."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from activelabel.data.labels.arrays import LabelArray, drawn_box

SliceDigests = tuple[str, ...]
"""One digest for each slice along an axis; `EMPTY` where nothing is drawn."""
EMPTY = ""
DIGEST_FORMAT = "2"
"""Another one for other digests of the same slices: those that were kept before are then not compared with them."""
_DIGEST_BYTES = 16


def slice_digests(array: LabelArray, axis: int) -> SliceDigests:
    """The digests of the slices of a label `(W, H, D)` along `axis`, whatever integer type its values have.

    That of a slice is of the smallest rectangle with all that is drawn on it, and of the place of this rectangle.
    """
    digests = [EMPTY] * array.shape[axis]
    box = drawn_box(array)
    corner = [one.start for other, one in enumerate(box) if other != axis]
    drawn = np.moveaxis(array[box], axis, 0)
    rows, columns = drawn.any(axis=2), drawn.any(axis=1)
    for index, voxels in enumerate(drawn):
        of_row, of_column = np.flatnonzero(rows[index]), np.flatnonzero(columns[index])
        if len(of_row):
            ends = [(found[0], found[-1] + 1) for found in (of_row, of_column)]
            place = np.add(ends, np.array(corner)[:, None])
            digests[box[axis].start + index] = _digest(place, voxels[slice(*ends[0]), slice(*ends[1])])
    return tuple(digests)


def _digest(place: NDArray[np.int_], voxels: LabelArray) -> str:
    """The digest of a rectangle of voxels between two rows and two columns, in the order of a NIfTI file."""
    kind = "<u1" if voxels.dtype == np.uint8 or voxels.max() < 256 else "<u2"
    digest = hashlib.blake2b(place.astype("<i8").tobytes(), digest_size=_DIGEST_BYTES)
    digest.update(np.ascontiguousarray(voxels.T, dtype=kind).data)
    return digest.hexdigest()


def drawn_on(digests: Sequence[str]) -> set[int]:
    """Indices of the slices on which something is drawn."""
    return {index for index, digest in enumerate(digests) if digest != EMPTY}


def differing(first: Sequence[str], second: Sequence[str]) -> set[int]:
    """Indices of the slices in which two labels of one image differ."""
    pairs = enumerate(zip(first, second, strict=True))
    return {index for index, (digest, other) in pairs if digest != other}
