"""Random voxels of a label by their value, without searching the whole label for each.

The voxels of rare values are listed once, when a case is prepared. Of a frequent value, random voxels are tried until
one has it. Both draw each voxel of the value equally likely. The list is at most as large as an eighth of the voxels
in bytes for each value, so that it is smaller than the label itself.
"""

from collections.abc import Mapping

import numpy as np
import torch
from monai.transforms import Transform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor

RARE = 64
"""A value is listed if less than one in so many voxels has it; else a voxel of it is found after as many tries."""

_TRIED_AT_ONCE = 64
_PARTS = VALUES, COUNTS, LISTED = "values", "counts", "listed"


class ListVoxels(Transform):
    """Add what `VoxelIndex` needs to a case, as tensors, so that it is kept with the case."""

    def __call__(self, case: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A case with a shifted label, in which 0 is not annotated, and the index of its values above 0."""
        label = convert_to_tensor(case["label"], track_meta=False).flatten()
        values, counts = torch.unique(label, return_counts=True)
        values, counts = values[values > 0], counts[values > 0]
        rare = values[counts * RARE < len(label)]
        listed = [torch.nonzero(label == value)[:, 0] for value in rare]
        return {**case, VALUES: values, COUNTS: counts, LISTED: torch.cat([torch.zeros(0, dtype=torch.int64), *listed])}


class VoxelIndex:
    """The voxels of a case by the value of its label.

    Attributes:
        values: the values above 0 that the label has, rising.
    """

    def __init__(self, case: Mapping[str, Tensor]) -> None:
        """`case` is an output of `ListVoxels`; any other is listed now."""
        listed = case if all(part in case for part in _PARTS) else ListVoxels()(case)
        self.values: list[int] = listed[VALUES].tolist()
        self._counts: list[int] = listed[COUNTS].tolist()
        self._listed: NDArray[np.int64] = listed[LISTED].numpy()
        self._label: NDArray[np.int16] = convert_to_tensor(case["label"], track_meta=False).numpy().reshape(-1)

    def draw(self, value: int, random: np.random.RandomState) -> int:
        """The flat index of a random voxel with this value, which is one of `values`."""
        number = self.values.index(value)
        if self._is_listed(number):
            before = sum(count for other, count in enumerate(self._counts[:number]) if self._is_listed(other))
            return int(self._listed[before + random.randint(self._counts[number])])
        while True:
            tried = random.randint(len(self._label), size=_TRIED_AT_ONCE)
            found = np.flatnonzero(self._label[tried] == value)
            if len(found):
                return int(tried[found[0]])

    def draw_of(self, values: list[int], random: np.random.RandomState) -> int:
        """The flat index of a random voxel with any of these values, all such voxels equally likely."""
        if len(values) == 1:
            return self.draw(values[0], random)
        counts = np.array([self._counts[self.values.index(value)] for value in values], dtype=np.float64)
        return self.draw(int(random.choice(values, p=counts / counts.sum())), random)

    def _is_listed(self, number: int) -> bool:
        return self._counts[number] * RARE < len(self._label)
