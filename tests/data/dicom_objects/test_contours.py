"""Filled contours against numbers by hand and another program's rule for points in polygons."""

import numpy as np
import pytest
from matplotlib.path import Path as Polygon
from skimage.draw import polygon2mask

from activelabel.data.dicom_objects import contours
from activelabel.data.dicom_objects.contours import enclosed, on_line
from activelabel.errors import InvalidInputError

SHAPE = (40, 30)


def star(seed: int, centre: tuple[float, float] = (19.3, 14.8), reach: float = 13) -> np.ndarray:
    """A polygon that never crosses itself, with corners at no whole numbers."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 17))
    lengths = rng.uniform(0.3, 1, 17) * reach
    return np.stack([centre[0] + lengths * np.cos(angles), centre[1] + lengths * np.sin(angles)], axis=1)


def centres() -> np.ndarray:
    return np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("seed", range(20))
def test_the_pixels_are_those_that_two_other_programs_find(seed: int) -> None:
    corners = star(seed)
    found = enclosed([corners], SHAPE)
    np.testing.assert_array_equal(found.ravel(), Polygon(corners).contains_points(centres()))
    np.testing.assert_array_equal(found, polygon2mask(SHAPE, corners))


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_the_polygon(seed: int) -> None:
    """The expected area is that of Gauss's formula, on pixels of a twentieth."""
    corners = star(seed)
    x, y = corners.T
    area = abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
    fine = enclosed([corners * 20 + 9.5], (SHAPE[0] * 20, SHAPE[1] * 20))
    assert fine.sum() / 400 == pytest.approx(area, rel=2e-3)


def test_an_inner_contour_is_a_hole_and_one_in_the_hole_an_island() -> None:
    drawn = [star(3), star(4, reach=4), star(5, reach=0.9)]
    inside = [Polygon(corners).contains_points(centres()) for corners in drawn]
    expected = np.logical_xor.reduce(inside).reshape(SHAPE)
    np.testing.assert_array_equal(enclosed(drawn, SHAPE), expected)
    np.testing.assert_array_equal(enclosed(drawn[::-1], SHAPE), expected)


def test_a_keyhole_gives_the_same_hole() -> None:
    """The line runs from the outer square to the inner one and back through the same centres of pixels."""
    outer = [(2.5, 2.5), (2.5, 10.5), (10.5, 10.5), (10.5, 2.5)]
    inner = [(4.5, 4.5), (8.5, 4.5), (8.5, 8.5), (4.5, 8.5)]
    keyhole = [(2.5, 5), *outer[1:], outer[0], (2.5, 5), (4.5, 5), *inner, (4.5, 5)]
    by_xor = enclosed([np.array(outer), np.array(inner)], SHAPE)
    assert by_xor.sum() == 8 * 8 - 4 * 4
    np.testing.assert_array_equal(enclosed([np.array(keyhole, dtype=float)], SHAPE), by_xor)


def test_two_areas_with_a_common_side_through_centres_share_no_pixel_and_lose_none() -> None:
    left = np.array([(2, 2), (6, 2), (6, 9), (2, 9)], dtype=float)
    right = left + np.array([4, 0])
    both = np.array([(2, 2), (10, 2), (10, 9), (2, 9)], dtype=float)
    first, second = enclosed([left], SHAPE), enclosed([right], SHAPE)
    assert not (first & second).any()
    np.testing.assert_array_equal(first | second, enclosed([both], SHAPE))
    assert first.sum() == 4 * 7


def test_centres_on_the_line_are_found_along_every_direction() -> None:
    square = np.array([(2, 2), (6, 2), (6, 9), (2, 9)], dtype=float)
    marked = on_line([square], SHAPE)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[2:7, [2, 9]] = expected[[2, 6], 2:10] = True
    np.testing.assert_array_equal(marked, expected)
    diagonal = on_line([np.array([(1.0, 1.0), (5.0, 5.0), (9.0, 1.0)])], SHAPE)
    assert {tuple(place) for place in np.argwhere(diagonal)} == {
        *((x, x) for x in range(1, 6)), *((10 - y, y) for y in range(1, 5)), *((x, 1) for x in range(1, 10))
    }  # fmt: skip


def test_a_point_and_a_line_alone_have_the_centres_on_them() -> None:
    marked = on_line([np.array([(3.0, 4.0)]), np.array([(7.004, 7.0), (7.0, 9.0)]), np.array([(20.3, 4.0)])], SHAPE)
    assert [tuple(place) for place in np.argwhere(marked)] == [(3, 4), (7, 7), (7, 8), (7, 9)]
    assert not enclosed([np.array([(3.0, 4.0)])], SHAPE).any()


def test_contours_beyond_the_image_are_cut_off() -> None:
    wide = np.array([(-5, -5), (50, -5), (50, 50), (-5, 50)], dtype=float)
    assert enclosed([wide], SHAPE).all()
    assert not on_line([wide], SHAPE).any()
    assert not enclosed([wide + 100], SHAPE).any()


def test_no_contours_give_an_empty_mask() -> None:
    assert not enclosed([], SHAPE).any()
    assert not on_line([], SHAPE).any()


def test_more_lines_than_may_be_are_refused_before_they_take_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    zigzag = np.array([(index, (index % 2) * 29.5) for index in range(40)], dtype=float)
    monkeypatch.setattr(contours, "MOST_CROSSINGS", 40 * 29)
    with pytest.raises(InvalidInputError, match=r"cross its pixels 1,\d+ times, expected 1,160 at most"):
        enclosed([zigzag], SHAPE)
