"""The names of slices that people see, by client."""

import numpy as np
import pytest
from orientations import affine_towards

from activelabel.data.grids import Grid
from activelabel.data.slice_places import SlicePlaces, slice_places
from activelabel.project.client_kind import ClientKind
from activelabel.project.slices.names import ohif_number, slices_named


@pytest.fixture
def places() -> SlicePlaces:
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[2, 3] = -33.5
    return slice_places(Grid((9, 9, 48), affine), 2)


def test_for_an_unknown_client_the_place_comes_first_and_the_number_says_where_it_counts_from(
    places: SlicePlaces,
) -> None:
    one, two = (slices_named(places, slices, ClientKind.OTHER) for slices in ([7], [7, 13]))
    assert one == "axial S -12.5 mm (slice 8 of 48, counted from 1)"
    assert two == "axial S -12.5, 5.5 mm (slices 8, 14 of 48, counted from 1)"


def test_ohif_writes_which_one_of_how_many_from_the_head(places: SlicePlaces) -> None:
    assert slices_named(places, [7], ClientKind.OHIF) == "axial image (41/48), at S -12.5 mm"
    assert slices_named(places, [0, 47], ClientKind.OHIF) == "axial images (48/48), (1/48), at S -33.5, 107.5 mm"


def test_tilted_slices_have_a_position_in_ohif_and_no_number() -> None:
    """Slices that are turned by 10 degrees about the axis from left to right, 3 mm apart along their normal."""
    cos, sin = np.cos(np.deg2rad(10)), np.sin(np.deg2rad(10))
    turned = np.array([[1, 0, 0, 0], [0, cos, -3 * sin, 0], [0, sin, 3 * cos, 0], [0, 0, 0, 1.0]])
    places = slice_places(Grid((9, 9, 48), turned), 2)
    assert slices_named(places, [0, 4], ClientKind.OHIF) == "axial images at S 0, 12 mm"
    assert slices_named(places, [4], ClientKind.OTHER) == "axial S 12 mm (slice 5 of 48, counted from 1)"


@pytest.mark.parametrize(
    ("codes", "index", "number"),
    [
        ("LPS", 7, 9), ("LPS", 4, 12), ("RPI", 8, 9), ("RPI", 11, 12), ("LAI", 8, 9), ("LAI", 11, 12),
        ("PSL", 8, 9), ("PSL", 10, 11), ("LSA", 8, 9), ("LSA", 10, 11), ("LIP", 7, 9), ("LIP", 5, 11),
    ],
)  # fmt: skip
def test_the_numbers_that_ohif_was_seen_to_write(codes: str, index: int, number: int) -> None:
    """Numbers read off the page, with the index of the slice whose voxels it showed, for CT series of 16 slices."""
    places = slice_places(Grid((40, 36, 16), affine_towards(codes, (1.5, 1.5, 3.0))), 2)
    assert ohif_number(places, index) == number
