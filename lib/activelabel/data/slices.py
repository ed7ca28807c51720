"""Slices of an image: indices along one axis of the image's own voxels, however a network sees them."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

import nibabel
import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import Grid, Shape3D

Plane = Literal["sagittal", "coronal", "axial"]
SlicePlane = Literal["acquisition", "sagittal", "coronal", "axial"]
"""The plane in which an image is annotated; `acquisition` is the one in which it was acquired."""

PLANES: tuple[Plane, Plane, Plane] = ("sagittal", "coronal", "axial")
_SAME_POSITION = 1e-6
_KNOWN_AFFINES = 1024


def slice_axis(grid: Grid, plane: SlicePlane = "acquisition") -> int:
    """The axis of `grid` along which its slices follow each other.

    For `acquisition`, it is the axis of the largest spacing; of equal spacings, to a thousandth of a millimetre, the
    axis nearest to superior-inferior, then the last one. For a named plane, it is the axis nearest to its normal.
    """
    if plane != "acquisition":
        return _anatomical_axes(grid).index(PLANES.index(plane))
    towards_head, spacing_mm = _anatomical_axes(grid).index(PLANES.index("axial")), grid.spacing_mm
    return max(range(3), key=lambda axis: (round(spacing_mm[axis], 3), axis == towards_head, axis))


def plane_name(grid: Grid, axis: int) -> Plane:
    """The plane of the slices along `axis` of `grid`, or the nearest one."""
    return PLANES[_anatomical_axes(grid)[axis]]


def slice_mask(shape: Shape3D, axis: int, slices: Iterable[int]) -> NDArray[np.bool_]:
    """Bool of `shape`, True in the voxels of these slices along `axis`."""
    mask = np.zeros(shape, dtype=bool)
    np.moveaxis(mask, axis, 0)[list(slices)] = True
    return mask


def differing_slices(first: NDArray[np.generic], second: NDArray[np.generic] | int, axis: int) -> set[int]:
    """Indices along `axis` of the slices in which two arrays of one shape, or an array and a value, differ."""
    others = tuple(other for other in range(first.ndim) if other != axis)
    # Whether anything is not 0 is told from the array itself, without an array of what differs from 0.
    differ = first if isinstance(second, int) and second == 0 else first != second
    return {int(index) for index in np.flatnonzero(differ.any(axis=others))}


def own_slice_values(
    values: Sequence[float] | Sequence[Sequence[float]], prepared: Grid, original: Grid, axis: int
) -> NDArray[np.float64]:
    """A number for each slice of the original, interpolated from the numbers of the prepared slices.

    Args:
        values: one for each slice along the axis of `prepared` that `prepared_axis` gives; or several such rows.
        prepared: the grid of the prepared image: the original's axes exchanged, reversed or resampled.
        original: the image's own grid.
        axis: an axis of `original`.

    Returns:
        float64 `(…, original.shape[axis])`. If both have the same slices, these are the same numbers in the original's
        order; else they are interpolated linearly, and beyond the ends they have the value at the end.
    """
    known = np.asarray(values, dtype=np.float64)
    last = known.shape[-1] - 1
    positions = np.clip(prepared_positions(prepared, original, axis), 0, last)
    below = np.floor(positions).astype(np.intp)
    share, lower, upper = positions - below, known[..., below], known[..., np.minimum(below + 1, last)]
    return np.where(share == 0, lower, lower + share * (upper - lower))


def prepared_positions(prepared: Grid, original: Grid, axis: int) -> NDArray[np.float64]:
    """The positions of the slices along `axis` of the original among the prepared slices along `prepared_axis`.

    They are whole numbers if both have the same slices; else they may lie between two slices or beyond the ends.
    """
    to_prepared = prepared.to_voxels(original.affine_ras)
    along = prepared_axis(prepared, original, axis)
    positions = to_prepared[along, axis] * np.arange(original.shape[axis]) + to_prepared[along, 3]
    whole = np.rint(positions)
    return np.where(np.abs(positions - whole) < _SAME_POSITION, whole, positions)


def prepared_axis(prepared: Grid, original: Grid, axis: int) -> int:
    """The axis of `prepared` that runs along `axis` of `original`."""
    to_prepared = prepared.to_voxels(original.affine_ras)
    return int(np.abs(to_prepared[:3, axis]).argmax())


def _anatomical_axes(grid: Grid) -> list[int]:
    """For each axis of the grid, the nearest axis of the patient (0 right, 1 anterior, 2 superior)."""
    return list(_axes_of(np.ascontiguousarray(grid.affine_ras, dtype=np.float64).tobytes()))


@lru_cache(_KNOWN_AFFINES)
def _axes_of(affine_ras: bytes) -> tuple[int, ...]:
    """The same from the bytes of the affine: an image is asked about several times from its query to its label."""
    affine = np.frombuffer(affine_ras).reshape(4, 4)
    return tuple(int(axis) for axis in nibabel.orientations.io_orientation(affine)[:, 0])
