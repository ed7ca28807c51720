"""The positions of an image's slices in the patient, in the numbers that viewers show."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activelabel.data.grids import Grid
from activelabel.data.slices import Plane, plane_name

_TOWARDS: dict[Plane, tuple[str, tuple[float, float, float]]] = {
    "sagittal": ("L", (-1.0, 0.0, 0.0)),
    "coronal": ("A", (0.0, 1.0, 0.0)),
    "axial": ("S", (0.0, 0.0, 1.0)),
}
"""The direction in which positions grow, as a letter and as a vector (RAS), for each plane as in Slicer's sliders."""
_STRAIGHT = 1e-6
"""Directions are rounded in files: slices that are turned by less than 0.08 degrees are not tilted."""
_FINE_MM = 1.0
"""Slices nearer to each other than this are told apart by hundredths of a millimetre, others by tenths."""


@dataclass(frozen=True, eq=False)
class SlicePlaces:
    """The slices of an image along one axis of its voxels.

    Attributes:
        plane: the plane of the slices, or the nearest one.
        towards: the letter of the side of the patient towards which `positions_mm` grow: L, A or S.
        positions_mm: (N,), the distance of each slice from the origin along the normal of the slices. For slices
            exactly in their plane, it is their L, A or S coordinate.
        is_tilted: whether the slices are turned against their plane.
    """

    plane: Plane
    towards: str
    positions_mm: NDArray[np.float64]
    is_tilted: bool = False

    @property
    def count(self) -> int:
        """The number of slices."""
        return len(self.positions_mm)

    def shown_mm(self, slices: Iterable[int]) -> str:
        """The positions of some slices, as `S -12.5, 3 mm`."""
        apart = np.abs(np.diff(self.positions_mm)).min()
        digits = 1 if apart >= _FINE_MM else 2
        return f"{self.towards} {', '.join(_short(self.positions_mm[index], digits) for index in slices)} mm"


def slice_places(grid: Grid, axis: int) -> SlicePlaces:
    """The positions of the slices along `axis` of `grid`."""
    plane = plane_name(grid, axis)
    letter, direction = _TOWARDS[plane]
    first, second = (grid.affine_ras[:3, other] for other in range(3) if other != axis)
    normal = np.cross(first, second)
    normal /= np.linalg.norm(normal)
    if normal @ direction < 0:
        normal = -normal
    step, origin = grid.affine_ras[:3, axis] @ normal, grid.affine_ras[:3, 3] @ normal
    is_tilted = bool(normal @ direction < 1 - _STRAIGHT)
    return SlicePlaces(plane, letter, origin + step * np.arange(grid.shape[axis]), is_tilted)


def _short(value: float, digits: int) -> str:
    """A number without zeros at its end, and without a minus before a zero."""
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
