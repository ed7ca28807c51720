"""Slices of an image, for every orientation of its affine."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes
from orientations import ORIENTATIONS, affine_towards

from activelabel.data.grids import Grid
from activelabel.data.preprocessing import prepare_image
from activelabel.data.slices import (
    Plane,
    differing_slices,
    own_slice_values,
    plane_name,
    prepared_axis,
    slice_axis,
    slice_mask,
)
from activelabel.data.volumes import Volume
from activelabel.recipes import PreprocessingSettings


def grid_of(codes: str, shape: tuple[int, int, int], spacing: tuple[float, float, float], tilt: float = 0.0) -> Grid:
    """Return a grid with axes towards the sides in `codes`, turned by `tilt` radians about the patient's x axis."""
    turned = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = affine_towards(codes, spacing)
    affine[:3, :3] = turned @ affine[:3, :3]
    return Grid(shape, affine)


def test_the_thickest_slices_are_those_of_the_acquisition() -> None:
    assert slice_axis(grid_of("RAS", (9, 9, 9), (1.0, 3.0, 1.0))) == 1
    assert slice_axis(grid_of("RAS", (9, 9, 9), (5.0, 1.0, 1.0))) == 0
    assert slice_axis(grid_of("LPS", (9, 9, 9), (0.7, 0.7, 2.5))) == 2


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_equal_spacings_are_sliced_from_foot_to_head(codes: str) -> None:
    grid = grid_of(codes, (4, 5, 6), (1.0, 1.0, 1.0))
    axis = slice_axis(grid)
    assert codes[axis] in "IS"
    assert plane_name(grid, axis) == "axial"


def test_a_thousandth_of_a_millimetre_makes_no_slices() -> None:
    assert slice_axis(grid_of("RAS", (4, 5, 6), (1.0001, 1.0, 1.0))) == 2


@pytest.mark.parametrize("codes", ORIENTATIONS)
@pytest.mark.parametrize(("plane", "sides"), [("sagittal", "LR"), ("coronal", "PA"), ("axial", "IS")])
def test_a_named_plane_is_found_in_every_orientation(codes: str, plane: Plane, sides: str) -> None:
    grid = grid_of(codes, (4, 5, 6), (1.0, 2.0, 3.0), tilt=0.4)
    axis = slice_axis(grid, plane)
    assert codes[axis] in sides
    assert plane_name(grid, axis) == plane
    assert aff2axcodes(grid.affine_ras)[axis] in sides


def test_a_mask_of_slices_by_hand() -> None:
    mask = slice_mask((2, 3, 4), 1, [0, 2])
    assert mask.tolist() == [[[True] * 4, [False] * 4, [True] * 4]] * 2
    assert not slice_mask((2, 3, 4), 2, []).any()


def test_slices_that_differ_by_hand() -> None:
    first = np.zeros((2, 3, 4), dtype=np.uint8)
    second = first.copy()
    second[1, 2, 3] = 1
    assert [differing_slices(first, second, axis) for axis in range(3)] == [{1}, {2}, {3}]
    assert differing_slices(second, 0, 2) == {3}
    assert differing_slices(first, 0, 2) == set()


@given(
    codes=st.sampled_from(ORIENTATIONS),
    shape=st.tuples(*[st.integers(2, 6)] * 3),
    axis=st.integers(0, 2),
    tilt=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 99),
)
def test_numbers_of_prepared_slices_come_back_to_the_own_index(
    codes: str, shape: tuple[int, int, int], axis: int, tilt: float, seed: int
) -> None:
    grid = grid_of(codes, shape, (1.0, 1.5, 2.0), tilt)
    array = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    prepared = prepare_image(Volume(array, grid.affine_ras, Path("x.nii")), PreprocessingSettings(intensity="zscore"))
    along = prepared_axis(prepared.grid, grid, axis)
    sums = np.moveaxis(prepared.tensor[0].numpy().astype(np.float64), along, 0).sum(axis=(1, 2))
    restored = own_slice_values(sums.tolist(), prepared.grid, grid, axis)
    normalised = (array - array.mean(dtype=np.float64)) / array.std(dtype=np.float64)
    expected = np.moveaxis(normalised, axis, 0).sum(axis=(1, 2))
    np.testing.assert_allclose(restored, expected, atol=1e-3)


def test_resampled_slices_are_interpolated_by_hand() -> None:
    original = grid_of("RAS", (2, 2, 5), (1.0, 1.0, 1.0))
    prepared = Grid((2, 2, 3), original.affine_ras @ np.diag([1.0, 1.0, 2.0, 1.0]))
    assert own_slice_values([0.0, 10.0, 40.0], prepared, original, 2).tolist() == [0.0, 5.0, 10.0, 25.0, 40.0]
    turned = grid_of("RAI", (2, 2, 5), (1.0, 1.0, 1.0))
    turned.affine_ras[:3, 3] = original.affine_ras[:3, 3] + (0, 0, 4)
    assert own_slice_values([0.0, 10.0, 40.0], prepared, turned, 2).tolist() == [40.0, 25.0, 10.0, 5.0, 0.0]


def test_slices_beyond_the_prepared_image_repeat_its_last_value() -> None:
    original = grid_of("RAS", (2, 2, 4), (1.0, 1.0, 1.0))
    prepared = Grid((2, 2, 2), original.affine_ras)
    assert own_slice_values([3.0, 7.0], prepared, original, 2).tolist() == [3.0, 7.0, 7.0, 7.0]


def test_the_planes_are_those_of_nibabel() -> None:
    for codes in ORIENTATIONS:
        grid = grid_of(codes, (3, 3, 3), (1.0, 1.0, 1.0))
        sides = nibabel.orientations.aff2axcodes(grid.affine_ras)
        planes = {"L": "sagittal", "R": "sagittal", "A": "coronal", "P": "coronal", "I": "axial", "S": "axial"}
        assert [plane_name(grid, axis) for axis in range(3)] == [planes[side] for side in sides]


def test_slices_are_placed_without_a_call_that_wakes_the_threads_of_a_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """`numpy.linalg.solve` does, for four equations; they then spin for some time, on a core that the network needs."""

    def wakes_threads(*_: object) -> None:
        raise AssertionError("numpy.linalg.solve was called")

    prepared, original = grid_of("RAS", (4, 4, 3), (1.0, 1.0, 4.0)), grid_of("RAS", (4, 4, 5), (1.0, 1.0, 2.0))
    monkeypatch.setattr(np.linalg, "solve", wakes_threads)
    assert own_slice_values([0.0, 10.0, 40.0], prepared, original, 2).tolist() == [0.0, 5.0, 10.0, 25.0, 40.0]
