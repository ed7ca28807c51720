"""Regions worked out by hand, and against scipy's dilation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from activelabel.acquisition.regions import (
    REGIONS,
    RegionSettings,
    boundary,
    dilated_foreground,
    everything,
    target,
)

# Five voxels of three classes; background first.
THREE_CLASSES = torch.tensor(
    [
        [0.90, 0.50, 0.30, 0.10, 0.40],
        [0.05, 0.30, 0.40, 0.10, 0.35],
        [0.05, 0.20, 0.30, 0.80, 0.25],
    ]
)


def two_classes(*foreground: float) -> torch.Tensor:
    p = torch.tensor(foreground, dtype=torch.float64)
    return torch.stack([1 - p, p])


def test_everything_is_every_voxel() -> None:
    assert everything(THREE_CLASSES).tolist() == [True] * 5


def test_target_takes_the_largest_foreground_class_above_the_threshold() -> None:
    assert target(THREE_CLASSES, 0.3).tolist() == [False, False, True, True, True]
    assert target(THREE_CLASSES, 0.25).tolist() == [False, True, True, True, True]


def test_target_threshold_itself_is_outside() -> None:
    assert target(two_classes(0.25, 0.5), 0.25).tolist() == [False, True]


def test_boundary_takes_a_small_difference_of_the_two_largest() -> None:
    # Differences: 0.85, 0.20, 0.10, 0.70, 0.05.
    assert boundary(THREE_CLASSES, 0.08).tolist() == [False, False, True, False, True]
    assert boundary(THREE_CLASSES, 0.02).tolist() == [False] * 5


@given(
    hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(0, 1)),
    st.floats(0.01, 0.49),
)
def test_boundary_of_two_classes_is_the_distance_from_one_half(foreground: np.ndarray, width: float) -> None:
    distance = np.abs(foreground - 0.5)
    clear = np.abs(distance - width) > 1e-9
    found = boundary(two_classes(*foreground), width).numpy()
    assert (found == (distance < width))[clear].all()


def test_dilation_is_a_cube_cut_at_the_border() -> None:
    mean = torch.zeros(2, 7, 7, 7)
    mean[0] = 1
    mean[:, 1, 3, 6] = torch.tensor([0.4, 0.6])
    region = dilated_foreground(mean, kernel=5)
    expected = torch.zeros(7, 7, 7, dtype=torch.bool)
    expected[0:4, 1:6, 4:7] = True
    assert region.equal(expected)


def test_dilation_of_an_empty_prediction_is_empty() -> None:
    mean = torch.zeros(3, 4, 4, 4)
    mean[0] = 1
    assert not dilated_foreground(mean).any()


def test_a_tie_with_the_background_is_not_foreground() -> None:
    assert dilated_foreground(two_classes(0.5, 0.5, 0.5), kernel=1).tolist() == [False] * 3


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=9), elements=st.floats(0, 1, width=16)),
    st.sampled_from([1, 3, 5, 11]),
)
def test_dilation_equals_scipy(foreground: np.ndarray, kernel: int) -> None:
    p = torch.from_numpy(foreground)
    expected = ndimage.binary_dilation(foreground > 1 - foreground, np.ones((kernel,) * foreground.ndim))
    assert dilated_foreground(torch.stack([1 - p, p]), kernel).numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("kernel", [0, -1, 4])
def test_an_even_kernel_is_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        dilated_foreground(THREE_CLASSES, kernel)


def test_registry_calls_each_region_with_its_setting() -> None:
    settings = RegionSettings(target_threshold=0.3, boundary_width=0.08, dilation_kernel=3)
    assert {name: region(THREE_CLASSES, settings).tolist() for name, region in REGIONS.items()} == {
        "everything": [True] * 5,
        "target": [False, False, True, True, True],
        "boundary": [False, False, True, False, True],
        "dilated_foreground": [False, True, True, True, True],
    }


def test_a_nan_is_in_no_region_but_everything() -> None:
    mean = torch.full((2, 3), math.nan)
    settings = RegionSettings()
    assert {name: bool(region(mean, settings).any()) for name, region in REGIONS.items()} == {
        "everything": True,
        "target": False,
        "boundary": False,
        "dilated_foreground": False,
    }
