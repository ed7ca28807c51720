"""Patches around foreground and around background, in a fixed ratio (nath2022, 4.2: 1:1, and 9:1 for noisy labels)."""

from collections.abc import Mapping, Sequence

import numpy as np
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_tensor
from torch import Tensor

KEYS = ("image", "label")


class RatioPatches(RandomizableTransform):
    """Patches each of which lies around foreground with one probability, and else around background.

    A voxel is drawn from all annotated ones of that kind, all equally likely, whatever their class; where a case has
    none of a kind, from the other. Labels are shifted (see `transforms`): 0 is not annotated, 1 is background.
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
        label = convert_to_tensor(case["label"], track_meta=False)[0].numpy()
        kinds = {True: np.flatnonzero(label > 1), False: np.flatnonzero(label == 1)}
        if not any(map(len, kinds.values())):
            raise ValueError("label: expected a case that is annotated somewhere, all its voxels are 0 (not annotated)")
        patches = []
        for _ in range(self._count):
            wanted = bool(self.R.random_sample() < self._foreground_share)
            voxels = kinds[wanted] if len(kinds[wanted]) else kinds[not wanted]
            centre = np.unravel_index(voxels[self.R.randint(len(voxels))], label.shape)
            starts = np.clip(np.array(centre) - self._size // 2, 0, np.array(label.shape) - self._size)
            box = tuple(slice(start, start + size) for start, size in zip(starts, self._size, strict=True))
            patches.append({key: case[key][(slice(None), *box)] for key in KEYS})
        return patches
