"""Labels of which only some slices are annotated, on the network's grid: no asked slice is lost on the way there."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activelabel.data.grids import Grid
from activelabel.data.labels import LabelArray
from activelabel.data.preprocessing import PreparedImage, prepare_label
from activelabel.data.slices import prepared_axis, slice_mask
from activelabel.recipes import PreprocessingSettings

_TIE = 1e-3
"""Which of two slices is nearer is left open where it is a matter of rounding."""


def prepare_annotated_slices(
    label: LabelArray, slices: Collection[int], axis: int, image: PreparedImage, settings: PreprocessingSettings
) -> tuple[Tensor, Tensor]:
    """The label (W, H, D) of which `slices` are annotated, and where it is, as the network sees both.

    The network's grid may have fewer slices than the image's, and nearest neighbours would then pass over annotated
    ones: such a slice stands for the prepared slice nearest to it, at most half of a prepared step away, unless that
    shows another annotated one.

    Args:
        label: on the image's own grid.
        slices: indices along `axis`, each within the image.
        axis: of the image's own voxel array.
        image: prepared with `settings`.
        settings: those of the network.

    Returns:
        The label as `prepare_label` gives it, and bool, True where it is annotated; both (1, *S). There the label comes
        from annotated slices only; elsewhere it may hold anything.
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
    """By own index that counts as annotated, the annotated slice whose label it shows: itself, or a neighbour."""
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
    """Where each prepared slice lies along `axis` of the original, in its voxels."""
    along = prepared_axis(prepared, original, axis)
    to_original = np.linalg.solve(original.affine_ras, prepared.affine_ras)
    positions: NDArray[np.float64] = to_original[axis, along] * np.arange(prepared.shape[along]) + to_original[axis, 3]
    return positions
