"""Labels with only some annotated slices, brought to the network's grid without losing an annotated slice."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activelabel.data.grids import Grid
from activelabel.data.labels.arrays import LabelArray
from activelabel.data.preprocessing import PreparedImage, prepare_label
from activelabel.data.slices import prepared_axis, slice_mask
from activelabel.recipes import PreprocessingSettings

_TIE = 1e-3
"""Two slices whose distances differ by less than this count as equally near, as rounding would decide."""


def prepare_annotated_slices(
    label: LabelArray, slices: Collection[int], axis: int, image: PreparedImage, settings: PreprocessingSettings
) -> tuple[Tensor, Tensor]:
    """A partly annotated label and its annotated mask, both on the network's grid.

    The network's grid may have fewer slices than the image's, and nearest neighbours would then pass over annotated
    ones: such a slice takes the place of the prepared slice nearest to it, at most half of a prepared step away, unless
    that one shows another annotated slice.

    Args:
        label: (W, H, D), on the image's own grid.
        slices: indices of the annotated slices along `axis`, each within the image.
        axis: an axis of the image's own voxel array.
        image: prepared with `settings`.
        settings: the preprocessing of the network.

    Returns:
        The label as from `prepare_label`, and a bool mask, True where it is annotated; both (1, *S). Inside the mask
        the label comes from annotated slices only; outside it may hold anything.
    """
    shown = _shown(slices, axis, image.grid, image.original)
    sources = np.arange(label.shape[axis])
    sources[list(shown)] = list(shown.values())
    annotated = slice_mask(image.original.shape, axis, shown).astype(np.uint8)
    return (
        prepare_label(label.take(sources, axis=axis), image.original, settings),
        prepare_label(annotated, image.original, settings).bool(),
    )


def _shown(slices: Collection[int], axis: int, prepared: Grid, original: Grid) -> dict[int, int]:
    """By index of each slice that counts as annotated, the slice whose label it shows: itself or a neighbour."""
    positions = _positions(axis, prepared, original)
    shown = {index: index for index in slices}
    for index in slices:
        nearest = positions[np.abs(positions - index).argmin()]
        if abs(nearest - index) > 0.5 - _TIE:
            sampled = np.arange(np.ceil(nearest - 0.5 - _TIE), np.floor(nearest + 0.5 + _TIE) + 1)
            for own in np.clip(sampled, 0, original.shape[axis] - 1):
                shown.setdefault(int(own), index)
    return shown


def _positions(axis: int, prepared: Grid, original: Grid) -> NDArray[np.float64]:
    """The position of each prepared slice along `axis` of the original, in voxels of the original."""
    along = prepared_axis(prepared, original, axis)
    to_original = original.to_voxels(prepared.affine_ras)
    positions: NDArray[np.float64] = to_original[axis, along] * np.arange(prepared.shape[along]) + to_original[axis, 3]
    return positions
