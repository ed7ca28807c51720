"""Two readings of one case: how much they agree, and one label merged of both."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import SimpleITK
import torch
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
    images = [SimpleITK.GetImageFromArray(np.ascontiguousarray(array)) for array in (first, second)]
    staple = SimpleITK.MultiLabelSTAPLEImageFilter()
    staple.SetLabelForUndecidedPixels(0)
    return SimpleITK.GetArrayFromImage(staple.Execute(images)).astype(first.dtype)


def _distance_mm(first: NDArray[np.bool_], second: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float | None:
    from monai.metrics import compute_average_surface_distance  # with scikit-learn, and seldom needed

    one, other = (torch.from_numpy(mask[None, None].astype(np.uint8)) for mask in (first, second))
    distance = compute_average_surface_distance(one, other, True, symmetric=True, spacing=list(spacing_mm))
    value = float(distance[0, 0])
    return value if math.isfinite(value) else None
