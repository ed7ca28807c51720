"""Patches of cases: cutting one around a voxel, and the ratio of patches around foreground and background."""

from collections.abc import Mapping, Sequence

import numpy as np
from monai.transforms import RandomizableTransform, Transform
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from activelabel.data.reflection import before, reflect_to
from activelabel.training.voxel_index import VoxelIndex

KEYS = ("image", "label")
"""The tensors that pass together through all transforms of a training."""


class PadToPatch(Transform):
    """Pad a case to at least the size of a patch: the image by reflection, as for prediction, the label with 0.

    The reflection is only context: it is not annotated, so no patch is drawn around it, and the network learns nothing
    from it that it does not learn from the case itself.
    """

    def __init__(self, size: Sequence[int]) -> None:
        self._size = tuple(size)

    def __call__(self, case: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From image and label (1, *S), the label shifted (see `transforms`), to both in `size`; the rest as it is."""
        shape = case["label"].shape[1:]
        sides: list[int] = []
        for length, wanted in zip(shape, self._size, strict=True):
            first = before(length, wanted)
            sides = [first, max(wanted - length, 0) - first, *sides]  # torch wants the last axis first
        return {
            **case,
            "image": reflect_to(case["image"], self._size),
            "label": functional.pad(case["label"], sides),
        }


def patch_around(voxel: int, case: Mapping[str, Tensor], size: NDArray[np.int_]) -> dict[str, Tensor]:
    """Image and label of `case` (1, *S), in a box of `size` around `voxel`, an index into the flat label.

    The box lies wholly within the case, which is no smaller, and holds the voxel, in its middle where there is room.
    """
    shape = case["label"].shape[1:]
    centre = np.unravel_index(voxel, shape)
    starts = np.clip(np.array(centre) - size // 2, 0, np.array(shape) - size)
    box = (slice(None), *(slice(start, start + length) for start, length in zip(starts, size, strict=True)))
    return {key: case[key][box] for key in KEYS}


class RatioPatches(RandomizableTransform):
    """Patches that lie around foreground with a given probability, and else around background (nath2022, 4.2).

    The paper has 1:1 for annotated cases and 9:1 for noisy labels.

    The voxel is drawn from all annotated voxels of that kind, equally likely whatever their class; from the other kind
    if the case has none. Labels are shifted (see `transforms`): 0 is not annotated, 1 is background.
    """

    def __init__(self, size: Sequence[int], count: int, foreground_share: float) -> None:
        """`count` patches of `size` voxels a case; `foreground_share` in [0, 1]."""
        super().__init__()
        self._size = np.array(size)
        self._count = count
        self._foreground_share = foreground_share

    def __call__(self, case: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
        """Patches of a `case` that is annotated somewhere and is no smaller than a patch; each holds its voxel.

        Raises:
            ValueError: nothing is annotated.
        """
        voxels = VoxelIndex(case)
        kinds = {True: [value for value in voxels.values if value > 1], False: [1] if 1 in voxels.values else []}
        if not voxels.values:
            raise ValueError("label: expected a case that is annotated somewhere, all its voxels are 0 (not annotated)")
        patches = []
        for _ in range(self._count):
            wanted = bool(self.R.random_sample() < self._foreground_share)
            voxel = voxels.draw_of(kinds[wanted] or kinds[not wanted], self.R)
            patches.append(patch_around(voxel, case, self._size))
        return patches
