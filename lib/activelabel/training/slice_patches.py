"""Mini-batches of annotated slices of all cases, all equally likely (ma2024, 3.1; chlebus2022, II.B)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from monai.transforms import Compose, Randomizable, Transform
from monai.utils import convert_to_tensor
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from activelabel.recipes import TrainingSettings
from activelabel.training.patches import KEYS, patch_around

ShiftedCase = Mapping[str, Tensor]
"""Image and label (1, W, H, D), the slices along D, the label shifted by one: 0 is not annotated, 1 is background."""
Patch = dict[str, Tensor]


class KeepAnnotatedSlices(Transform):
    """Cut a case down to its annotated slices, for patches of one slice: a volume may have one of hundreds."""

    def __call__(self, case: ShiftedCase) -> Patch:
        """A `ShiftedCase` whose D is the number of annotated slices."""
        annotated = (convert_to_tensor(case["label"], track_meta=False) > 0).flatten(0, 2).any(dim=0)
        return {key: convert_to_tensor(case[key], track_meta=False)[..., annotated].contiguous() for key in KEYS}


@dataclass(frozen=True)
class _Slice:
    """The number of a case, and the index of one of its annotated slices."""

    case: int
    index: int


class SlicePatches(Dataset[list[Patch]]):
    """An item for each annotated slice of all cases: a patch around one of its voxels, all equally likely.

    If `patches_per_volume` is two or more, the first patch lies around a foreground voxel of a slice with foreground,
    all such slices of all cases equally likely, so that every mini-batch holds foreground (chlebus2022, II.B). The
    second patch is the item's own; any others lie around other annotated slices. Without any foreground, the first
    patch is also of the item's own slice.
    """

    def __init__(self, cases: Dataset[ShiftedCase], settings: TrainingSettings, after: Compose) -> None:
        """Read all `cases` once for their slices; `after` holds the random transforms of patches."""
        self._cases = cases
        self._size = np.array(settings.patch_size)
        self._count = settings.patches_per_volume
        self._after = after
        self._random = Randomizable()  # seeded by the loader, like all randomness here
        self._slices: list[_Slice] = []
        self._foreground: list[_Slice] = []
        for number in range(len(cases)):  # type: ignore[arg-type]  # torch declares no length
            label = _label(cases[number])
            highest = label.max(axis=(0, 1))
            self._slices += [_Slice(number, int(index)) for index in np.flatnonzero(highest > 0)]
            self._foreground += [_Slice(number, int(index)) for index in np.flatnonzero(highest > 1)]

    def __len__(self) -> int:
        """The number of annotated slices."""
        return len(self._slices)

    @property
    def case_numbers(self) -> list[int]:
        """The number of the case of each item."""
        return [slice_.case for slice_ in self._slices]

    def __getitem__(self, index: int) -> list[Patch]:
        """The patches of the slice at `index`."""
        own = self._slices[index]
        chosen = [(own, False)]
        if self._count > 1:
            first = (self._drawn(self._foreground), True) if self._foreground else (own, False)
            others = [(self._drawn(self._slices), False) for _ in range(self._count - 2)]
            chosen = [first, *chosen, *others]
        patches: list[Patch] = self._after([self._patch(slice_, foreground) for slice_, foreground in chosen])
        return patches

    def _drawn(self, slices: list[_Slice]) -> _Slice:
        return slices[self._random.R.randint(len(slices))]

    def _patch(self, slice_: _Slice, foreground: bool) -> Patch:
        """A patch around an annotated voxel of a slice, or around a foreground voxel; never a view of the cache."""
        case = self._cases[slice_.case]
        label = _label(case)
        in_plane = np.flatnonzero(label[..., slice_.index] > (1 if foreground else 0))
        voxel = int(in_plane[self._random.R.randint(len(in_plane))])
        patch = patch_around(voxel * label.shape[-1] + slice_.index, case, self._size)
        return {key: patch[key].clone() for key in KEYS}


def _label(case: ShiftedCase) -> NDArray[np.int16]:
    label: NDArray[np.int16] = convert_to_tensor(case["label"], track_meta=False)[0].numpy()
    return label
