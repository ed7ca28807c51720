"""Places of slices, by hand and as Slicer itself shows them."""

import numpy as np
import pytest
from orientations import ORIENTATIONS, affine_towards
from slicer_slices import slice_offsets_mm

from activelabel.data.grids import Grid
from activelabel.data.slice_places import slice_places

SHAPE = (4, 5, 6)


def turned(about: int, degrees: float) -> np.ndarray:
    """Return a rotation about one axis of the patient."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    matrix = np.eye(4)
    first, second = (axis for axis in range(3) if axis != about)
    matrix[[first, first, second, second], [first, second, first, second]] = cos, -sin, sin, cos
    return matrix


def test_positions_by_hand() -> None:
    affine = np.diag([-0.7, 0.8, 3.0, 1.0])
    affine[:3, 3] = 10, -20, -12.5
    axial = slice_places(Grid(SHAPE, affine), 2)
    assert (axial.plane, axial.towards, axial.count) == ("axial", "S", 6)
    np.testing.assert_allclose(axial.positions_mm, [-12.5, -9.5, -6.5, -3.5, -0.5, 2.5])
    assert axial.shown_mm([0, 5]) == "S -12.5, 2.5 mm"
    sagittal = slice_places(Grid(SHAPE, affine), 0)
    assert (sagittal.plane, sagittal.towards) == ("sagittal", "L")
    np.testing.assert_allclose(sagittal.positions_mm, [-10, -9.3, -8.6, -7.9])
    assert sagittal.shown_mm([0, 1]) == "L -10, -9.3 mm"
    assert slice_places(Grid(SHAPE, affine), 1).shown_mm([0]) == "A -20 mm"


def test_thin_slices_are_told_apart() -> None:
    affine = np.diag([1.0, 1.0, 0.05, 1.0])
    affine[2, 3] = -0.05
    assert slice_places(Grid(SHAPE, affine), 2).shown_mm([0, 1, 2, 3]) == "S -0.05, 0, 0.05, 0.1 mm"


def test_a_tilted_slice_lies_where_its_normal_says() -> None:
    """In an image sheared by a tilted gantry all voxels of a slice have one position along its normal."""
    affine = np.diag([1.0, 1.0, 4.0, 1.0])
    affine[1, 2] = 2.0
    np.testing.assert_allclose(slice_places(Grid(SHAPE, affine), 2).positions_mm, [0, 4, 8, 12, 16, 20])


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_orientation_is_shown_as_slicer_shows_it(codes: str, axis: int) -> None:
    """Slicer's own slice node, turned to the image as its button does, gives the same offsets."""
    affine = affine_towards(codes, (1.0, 1.5, 3.0))
    affine[:3, 3] = 7, -11, 13
    check_as_slicer(affine, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("about", [0, 1, 2])
def test_an_oblique_image_is_shown_as_slicer_shows_it(axis: int, about: int) -> None:
    affine = affine_towards("LPS", (0.7, 1.1, 3.5))
    affine[:3, 3] = 7, -11, 13
    check_as_slicer(turned(about, 17) @ turned((about + 1) % 3, -9) @ affine, axis)


def check_as_slicer(affine: np.ndarray, axis: int) -> None:
    places = slice_places(Grid(SHAPE, affine), axis)
    offsets = slice_offsets_mm(SHAPE, affine, axis, places.plane)
    np.testing.assert_allclose(places.positions_mm, offsets, atol=1e-4)
