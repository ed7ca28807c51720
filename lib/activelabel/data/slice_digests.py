"""Digests of the slices of a label: they tell which slices of two labels are equal without reading the labels again."""

import hashlib
from collections.abc import Sequence

import numpy as np

from activelabel.data.labels.arrays import LabelArray
from activelabel.data.slices import differing_slices

SliceDigests = tuple[str, ...]
"""One digest for each slice along an axis; `EMPTY` where nothing is drawn."""
EMPTY = ""
_DIGEST_BYTES = 16


def slice_digests(array: LabelArray, axis: int) -> SliceDigests:
    """The digests of the slices of a label `(W, H, D)` along `axis`, whatever integer type its values have."""
    digests = [EMPTY] * array.shape[axis]
    slices = np.moveaxis(array, axis, 0)  # a view: `take` copies all of an array in the order of NIfTI for each slice
    for index in differing_slices(array, 0, axis):
        voxels = np.ascontiguousarray(slices[index], dtype="<u2")
        digests[index] = hashlib.blake2b(voxels.data, digest_size=_DIGEST_BYTES).hexdigest()
    return tuple(digests)


def drawn_on(digests: Sequence[str]) -> set[int]:
    """Indices of the slices on which something is drawn."""
    return {index for index, digest in enumerate(digests) if digest != EMPTY}


def differing(first: Sequence[str], second: Sequence[str]) -> set[int]:
    """Indices of the slices in which two labels of one image differ."""
    pairs = enumerate(zip(first, second, strict=True))
    return {index for index, (digest, other) in pairs if digest != other}
