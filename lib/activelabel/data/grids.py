"""The grid of an image, and whether two grids hold the same voxels in another order."""

import itertools
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Shape3D = tuple[int, int, int]
Scalar = TypeVar("Scalar", bound=np.generic)
_LEAST_DETERMINANT = 1e-9  # mm³, of a voxel with edges of 0.001 mm

TOLERANCE_VOXELS = 0.05
"""The largest distance, in voxels, at which two voxels count as the same. Slicer and ITK write affines in single
precision and as quaternions, which moves the corners of a large image by some hundredths of a voxel; a wrong affine
moves them further."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The voxels of an image: `shape` (W, H, D), and `affine_ras` (4, 4) from voxel index to millimetres, RAS axes.

    `other_affines`: other places of the same voxels that the header gives to other readers.
    """

    shape: Shape3D
    affine_ras: NDArray[np.float64]
    other_affines: tuple[NDArray[np.float64], ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along each axis."""
        lengths = np.linalg.norm(self.affine_ras[:3, :3], axis=0)
        return (float(lengths[0]), float(lengths[1]), float(lengths[2]))

    def to_voxels(self, places_ras: NDArray[np.float64]) -> NDArray[np.float64]:
        """Homogeneous places in millimetres as voxel indices, both as columns (4, N); another affine is four such.

        `numpy.linalg.solve` gives the same. But it wakes threads for that, which on a busy machine takes milliseconds.

        Raises:
            ZeroDivisionError: the affine has no inverse, as `has_inverse` tells.
        """
        adjugate, determinant = _adjugate_and_determinant(self.affine_ras)
        inverse = np.eye(4)
        inverse[:3, :3] = 1 / determinant * np.array(adjugate)
        inverse[:3, 3] = -inverse[:3, :3] @ self.affine_ras[:3, 3]
        return np.asarray(inverse @ places_ras, dtype=np.float64)

    def corners(self) -> NDArray[np.float64]:
        """Indices of the eight corner voxels, homogeneous, as columns: (4, 8)."""
        ends = itertools.product(*((0, size - 1) for size in self.shape))
        return np.array([(*end, 1) for end in ends], dtype=np.float64).T


def has_inverse(affine: NDArray[np.float64]) -> bool:
    """Whether an affine is finite and has an inverse, by the arithmetic of `Grid.to_voxels`.

    That of `numpy.linalg.det` may leave a rest where this one gives exactly 0.
    """
    return bool(np.isfinite(affine).all()) and abs(_adjugate_and_determinant(affine)[1]) >= _LEAST_DETERMINANT


def _adjugate_and_determinant(affine: NDArray[np.float64]) -> tuple[tuple[tuple[float, ...], ...], float]:
    (a, b, c), (d, e, f), (g, h, i) = affine[:3, :3].tolist()
    adjugate = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    return adjugate, a * adjugate[0][0] + b * adjugate[1][0] + c * adjugate[2][0]


@dataclass(frozen=True)
class AxisOrder:
    """The change of axes from one array to another: first `transpose`, then `flip` along the new axes."""

    transpose: tuple[int, int, int]
    flip: tuple[int, ...]

    @property
    def changes_nothing(self) -> bool:
        """Whether the order leaves an array unchanged."""
        return self.transpose == (0, 1, 2) and not self.flip

    def apply(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """`array` (W, H, D) in the other order; a view."""
        return np.flip(array.transpose(self.transpose), axis=self.flip)


def label_order(label: Grid, image: Grid) -> AxisOrder | None:
    """`axis_order` of a label and its image, whose headers may each give two places for the same voxels.

    The program that made the label used one of the image's places. Of the places that fit, one without a change of axes
    is preferred.
    """
    pairs = itertools.product((label.affine_ras, *label.other_affines), (image.affine_ras, *image.other_affines))
    orders = (axis_order(Grid(label.shape, own), Grid(image.shape, place)) for own, place in pairs)
    found = [order for order in orders if order is not None]
    return next((order for order in found if order.changes_nothing), found[0] if found else None)


def axis_order(source: Grid, target: Grid) -> AxisOrder | None:
    """The order that turns an array on `source` into the same voxels on `target`; None if the voxels differ.

    Voxels are the same if the axes of `source` are those of `target`, exchanged or reversed, and each corner lies
    within `TOLERANCE_VOXELS` of its partner. Equal grids give the order that changes nothing.
    """
    to_target = target.to_voxels(source.affine_ras)
    linear = np.rint(to_target[:3, :3])
    if not np.array_equal(np.abs(linear).sum(axis=0), np.ones(3)) or abs(np.linalg.det(linear)) < 0.5:
        return None
    # Row r of `linear` has its one non-zero entry at the axis of `source` that runs along axis r of `target`.
    transpose = np.abs(linear).argmax(axis=1)
    if tuple(np.array(source.shape)[transpose]) != target.shape:
        return None
    flipped = linear[range(3), transpose] < 0
    exact = np.eye(4)
    exact[:3, :3] = linear
    exact[:3, 3] = np.where(flipped, np.array(target.shape) - 1, 0)
    corners = source.corners()
    if np.abs(to_target @ corners - exact @ corners).max() > TOLERANCE_VOXELS:
        return None
    first, second, third = (int(axis) for axis in transpose)
    return AxisOrder((first, second, third), tuple(int(axis) for axis in np.flatnonzero(flipped)))
