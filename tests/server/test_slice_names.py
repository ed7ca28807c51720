"""How slices are called for people, by client."""

import numpy as np
import pytest

from activelabel.data.grids import Grid
from activelabel.data.slice_places import SlicePlaces, slice_places
from activelabel.server.client_kind import ClientKind
from activelabel.server.slice_names import slices_named


@pytest.fixture
def places() -> SlicePlaces:
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[2, 3] = -33.5
    return slice_places(Grid((9, 9, 48), affine), 2)


def test_where_the_client_cannot_be_told_the_place_comes_first_and_the_number_says_its_start(
    places: SlicePlaces,
) -> None:
    one, two = (slices_named(places, slices, ClientKind.OTHER) for slices in ([7], [7, 13]))
    assert one == "axial S -12.5 mm (slice 8 of 48, counted from 1)"
    assert two == "axial S -12.5, 5.5 mm (slices 8, 14 of 48, counted from 1)"


def test_ohif_counts_images_from_one(places: SlicePlaces) -> None:
    assert slices_named(places, [7], ClientKind.OHIF) == "axial image 8 of 48 (S -12.5 mm)"
    assert slices_named(places, [0, 47], ClientKind.OHIF) == "axial images 1, 48 of 48 (S -33.5, 107.5 mm)"
