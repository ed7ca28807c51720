import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activelabel.data.grids import AxisOrder, Grid, axis_order, has_inverse

OBLIQUE = np.array([[1.9, -0.4, 0.1, -80.0], [0.5, 1.4, 0.0, 12.0], [-0.1, 0.1, 3.0, 7.0], [0, 0, 0, 1.0]])
ORDERS = [
    AxisOrder(transpose, flip)
    for transpose in itertools.permutations(range(3))
    for count in range(4)
    for flip in itertools.combinations(range(3), count)
]


def reordered(grid: Grid, order: AxisOrder) -> Grid:
    """Return the grid of an array on `grid` after `order`, computed from the world positions of four voxels."""
    indices = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    world = indices @ grid.affine_ras[:3, :3].T + grid.affine_ras[:3, 3]
    moved = np.stack([order.apply(world[..., axis]) for axis in range(3)], axis=-1)
    affine = np.eye(4)
    affine[:3, 3] = moved[0, 0, 0]
    affine[:3, :3] = np.stack([moved[1, 0, 0], moved[0, 1, 0], moved[0, 0, 1]], axis=1) - moved[0, 0, 0][:, None]
    return Grid(moved.shape[:3], affine)


def test_there_are_48_orders_of_three_axes() -> None:
    assert len(ORDERS) == 48


@settings(deadline=None, max_examples=100)
@given(order=st.sampled_from(ORDERS), cube=st.booleans())
def test_every_order_of_the_axes_is_found_again(order: AxisOrder, cube: bool) -> None:
    source = Grid((4, 4, 4) if cube else (4, 3, 5), OBLIQUE)

    assert axis_order(source, reordered(source, order)) == order


def test_flipping_twice_is_the_array_itself() -> None:
    array = np.arange(60).reshape(4, 3, 5)

    assert AxisOrder((2, 0, 1), (0,)).apply(array).shape == (5, 4, 3)
    assert AxisOrder((2, 0, 1), (0,)).apply(array)[4, 1, 2] == array[1, 2, 0]


@pytest.mark.parametrize(
    ("shift_mm", "same"),
    [((0, 0, 0.14), True), ((0, 0, 0.16), False), ((3.0, 0, 0), False)],
    ids=["a little", "over a twentieth of 3 mm", "a voxel"],
)
def test_a_shift_counts_from_a_twentieth_of_a_voxel_on(shift_mm: tuple[float, float, float], same: bool) -> None:
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    moved = affine.copy()
    moved[:3, 3] += shift_mm

    assert (axis_order(Grid((4, 4, 4), affine), Grid((4, 4, 4), moved)) is not None) == same


def test_single_precision_passes() -> None:
    affine = OBLIQUE.astype(np.float32).astype(np.float64)

    assert axis_order(Grid((512, 512, 300), affine), Grid((512, 512, 300), OBLIQUE)) is not None


@pytest.mark.parametrize(
    "affine",
    [np.diag([1.0, 1.0, 1.01, 1.0]), np.array([[1, 0.02, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])],
    ids=["another spacing", "sheared"],
)
def test_another_grid_is_not_the_same_voxels(affine: np.ndarray) -> None:
    assert axis_order(Grid((20, 20, 20), affine), Grid((20, 20, 20), np.eye(4))) is None


def test_another_shape_is_not_the_same_voxels() -> None:
    assert axis_order(Grid((4, 4, 5), np.eye(4)), Grid((4, 5, 4), np.eye(4))) is None


def test_spacing_is_the_length_of_a_voxel_along_each_axis() -> None:
    quarter_turn = np.array([[0, -2.0, 0, 5], [3.0, 0, 0, 5], [0, 0, 4.0, 5], [0, 0, 0, 1]])

    assert Grid((2, 2, 2), quarter_turn).spacing_mm == (3.0, 2.0, 4.0)


@given(st.lists(st.floats(-3, 3), min_size=12, max_size=12))
def test_places_in_voxels_are_those_that_solve_the_affine(numbers: list[float]) -> None:
    affine = np.eye(4)
    affine[:3] = np.reshape(numbers, (3, 4))
    affine[:3, :3] += 10 * np.eye(3)  # which is then always invertible
    places = affine @ Grid((4, 5, 6), affine).corners()
    assert np.allclose(Grid((4, 5, 6), affine).to_voxels(places), np.linalg.solve(affine, places), atol=1e-9)


def test_an_affine_has_an_inverse_where_one_can_be_computed() -> None:
    """Rows of 1000 to 9000 depend on one another: the determinant is 0, and numpy leaves a rest above 1e-9 of it."""
    singular = np.eye(4)
    singular[:3, :3] = 1000.0 * np.arange(1, 10).reshape(3, 3)
    assert not has_inverse(singular)
    assert not has_inverse(np.diag([1, 1, np.nan, 1]))
    assert not has_inverse(np.diag([0.001, 0.001, 0.0005, 1]))
    assert has_inverse(np.diag([0.01, 0.01, 0.01, 1]))
    assert has_inverse(OBLIQUE)
