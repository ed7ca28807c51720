"""The spacing of a planned recipe against numbers worked out by hand."""

import pytest

from activelabel.recipes.fingerprint import ImageShape, percentile
from activelabel.recipes.target_spacing import target_spacing


def test_the_spacing_is_the_median() -> None:
    shapes = [ImageShape((100, 100, 100), (spacing, 1.0, 2.0)) for spacing in (0.7, 0.8, 1.4)]
    assert target_spacing(shapes) == (0.8, 1.0, 2.0)


def test_the_spacing_of_thick_slices_is_the_10th_percentile_but_not_below_that_of_the_pixels() -> None:
    """The percentile lies at four tenths of the way from 5 to 10. 10 slices are less than a third of 216 pixels."""
    shapes = [ImageShape((216, 256, 10), (1.5, 1.5, apart)) for apart in (5.0, 10.0, 10.0, 10.0, 10.0)]
    assert target_spacing(shapes) == (1.5, 1.5, 7.0)
    many = [ImageShape((216, 256, 100), shape.spacing_mm) for shape in shapes]
    assert target_spacing(many) == (1.5, 1.5, 10.0), "100 slices are not few"
    thin = [ImageShape((216, 256, 10), (1.5, 1.5, apart)) for apart in (0.5, 10.0, 10.0)]
    assert percentile([0.5, 10.0, 10.0], 10) == pytest.approx(2.4)
    assert target_spacing(thin) == (1.5, 1.5, 2.4)
    thinner = [ImageShape((216, 256, 10), (2.5, 2.5, apart)) for apart in (0.5, 10.0, 10.0)]
    assert target_spacing(thinner) == (2.5, 2.5, 2.5)
