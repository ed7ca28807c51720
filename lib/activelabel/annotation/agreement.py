"""Two readings of one case: how much they agree, and one label merged of both."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from activelabel.data.labels.arrays import LabelArray
from activelabel.data.labels.label_map import label_map_of
from activelabel.store.records.reviews import Agreement


def agreement_of(
    first: LabelArray, second: LabelArray, labels: Sequence[str], spacing_mm: Sequence[float]
) -> dict[str, Agreement]:
    """Dice and mean surface distance of each structure that is in either label, both `(W, H, D)`.

    `labels` is the label map, or the names of the values 1..N. Voxels that either label ignores are in no structure.
    """
    found: dict[str, Agreement] = {}
    values = label_map_of(labels)
    judged = values.judged(first) & values.judged(second)
    for index, name in enumerate(values):
        masks = values.structure(index, first) & judged, values.structure(index, second) & judged
        sizes = [int(np.count_nonzero(mask)) for mask in masks]
        if any(sizes):
            dice = 2 * int(np.count_nonzero(masks[0] & masks[1])) / sum(sizes)
            found[name] = Agreement(dice, _distance_mm(*masks, spacing_mm) if all(sizes) else None)
    return found


def agrees(structures: Mapping[str, Agreement], at_least: float) -> bool:
    """Whether the Dice of every structure is at least that; two empty labels agree."""
    return all(agreement.dice >= at_least for agreement in structures.values())


def merged(first: LabelArray, second: LabelArray) -> LabelArray:
    """One label of both by STAPLE for several structures (Rohlfing 2003); where it cannot decide, nothing is drawn."""
    import SimpleITK  # 95 MB, which a server needs for few labels

    images = [SimpleITK.GetImageFromArray(np.ascontiguousarray(array)) for array in (first, second)]
    staple = SimpleITK.MultiLabelSTAPLEImageFilter()
    staple.SetLabelForUndecidedPixels(0)
    return SimpleITK.GetArrayFromImage(staple.Execute(images)).astype(first.dtype)


def _distance_mm(first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """The mean distance from the surface of each mask to that of the other; neither is empty.

    A surface is the voxels of a mask with a neighbour outside of it, or at the end of the image. MONAI's own function
    is not used: the server imports MONAI without the optional packages that it needs.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt  # seldom needed, and not at the start of a server

    around = _box_around(first | second)
    surfaces = [mask & ~binary_erosion(mask) for mask in (first[around], second[around])]
    one, other = (distance_transform_edt(~surface, sampling=spacing_mm) for surface in surfaces)
    return float(np.concatenate([other[surfaces[0]], one[surfaces[1]]]).mean())


def _box_around(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box that holds a mask, and a voxel more on each side where the image goes on."""
    places = np.argwhere(mask)
    return tuple(
        slice(max(int(low) - 1, 0), int(high) + 2) for low, high in zip(places.min(0), places.max(0), strict=True)
    )
