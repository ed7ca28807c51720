"""Padding of volumes by reflection, as in chlebus2022 (II.B): a network then sees tissue beyond an end.

Zeros would not look like that: after z-scoring they are the mean of an image, after windowing fat or air.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def reflect_to(values: Tensor, size: Sequence[int]) -> Tensor:
    """Pad `(…, *S)` to `(…, *size)` by reflection at the ends, which are not repeated; an odd voxel is put at the end.

    As `numpy.pad(mode="reflect")`: the padding may be larger than the volume, which is then reflected again and again;
    an axis of one voxel is repeated. An axis that is no smaller than its `size` stays as it is, and where all do,
    `values` itself is returned.
    """
    for axis, wanted in enumerate(size, start=values.ndim - len(size)):
        if wanted > values.shape[axis]:
            values = values.index_select(axis, _reflected(values.shape[axis], wanted).to(values.device))
    return values


def before(length: int, wanted: int) -> int:
    """The number of voxels that `reflect_to` puts before an axis of `length`."""
    return max(wanted - length, 0) // 2


def _reflected(length: int, wanted: int) -> Tensor:
    """The index that each voxel of the padded axis shows: 0 1 2 in seven voxels is 2 1 0 1 2 1 0."""
    period = max(2 * (length - 1), 1)
    places = (torch.arange(wanted) - before(length, wanted)) % period
    return torch.minimum(places, period - places) if length > 1 else places
