"""Regions worked out by hand, and against scipy's dilation."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from activelabel.acquisition.regions import (
    REGIONS,
    RegionSettings,
    boundary,
    dilated_foreground,
    everything,
    predicted_object,
    seen_voxels,
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
@example(np.array([1, 0, 0, 0], np.float32), 11)
def test_dilation_equals_scipy(foreground: np.ndarray, kernel: int) -> None:
    p = torch.from_numpy(foreground)
    expected = ndimage.binary_dilation(foreground > 1 - foreground, np.ones((kernel,) * foreground.ndim))
    assert dilated_foreground(torch.stack([1 - p, p]), kernel).numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("kernel", [0, -1, 4])
def test_an_even_kernel_is_refused(kernel: int) -> None:
    with pytest.raises(ValueError, match="odd"):
        dilated_foreground(THREE_CLASSES, kernel)


def test_registry_calls_each_region_with_its_setting() -> None:
    settings = RegionSettings(target_threshold=0.3, boundary_width=0.08, dilation_kernel=3, object_kernel=1)
    assert {name: region(THREE_CLASSES, settings).tolist() for name, region in REGIONS.items()} == {
        "everything": [True] * 5,
        "target": [False, False, True, True, True],
        "boundary": [False, False, True, False, True],
        "dilated_foreground": [False, True, True, True, True],
        "object": [False, False, True, True, False],
    }


def test_a_nan_is_in_no_region_but_everything() -> None:
    mean = torch.full((2, 3), math.nan)
    settings = RegionSettings()
    assert {name: bool(region(mean, settings).any()) for name, region in REGIONS.items()} == {
        "everything": True,
        "target": False,
        "boundary": False,
        "dilated_foreground": False,
        "object": False,
    }


def test_a_voxel_at_a_face_is_seen_and_one_at_an_edge_or_corner_is_not() -> None:
    """Of a cube of 5, 3 of 5 lie in the image at an end, 4 of 5 beside it: 0.6, 0.8; 0.6 * 0.8 = 0.48 is too little."""
    seen = seen_voxels((9, 9, 9), 5)
    assert seen[0, 4, 4]
    assert seen[1, 1, 4]  # 0.64
    assert seen[1, 1, 1].item() is True  # 0.512
    assert not seen[0, 1, 4]
    assert not seen[0, 0, 4]
    assert not seen[8, 8, 8]


def test_a_kernel_of_one_sees_everything_and_a_short_axis_is_no_padding() -> None:
    assert seen_voxels((3, 4, 5), 1).all()
    thin = seen_voxels((30, 30, 3), 11)
    assert thin[15, 15].tolist() == [True, True, True]
    assert not thin[0, 0].any()


@given(hnp.array_shapes(min_dims=1, max_dims=3, max_side=12), st.sampled_from([1, 3, 5, 11]))
def test_seen_voxels_by_counting(shape: tuple[int, ...], kernel: int) -> None:
    counts = np.ones(shape)
    for axis, size in enumerate(shape):
        share = [
            sum(0 <= index + step < size for step in range(-(kernel // 2), kernel // 2 + 1)) / min(kernel, size)
            for index in range(size)
        ]
        counts = counts * np.array(share).reshape([-1 if other == axis else 1 for other in range(len(shape))])
    clear = np.abs(counts - 0.5) > 1e-6
    assert (seen_voxels(shape, kernel).numpy() == (counts >= 0.5))[clear].all()


def test_the_object_is_the_same_in_an_image_twice_as_large() -> None:
    """The region has the same number of voxels in both images, and `everything` has eight times as many."""
    small = torch.zeros(2, 20, 20, 20)
    small[0] = 1
    small[:, 9:12, 9:12, 9:12] = torch.tensor([0.2, 0.8]).view(2, 1, 1, 1)
    large = torch.zeros(2, 40, 40, 40)
    large[0] = 1
    large[:, 5:25, 5:25, 5:25] = small
    assert predicted_object(small, 5).sum() == predicted_object(large, 5).sum() == 7**3
    assert (
        REGIONS["everything"](large, RegionSettings()).sum() == 8 * REGIONS["everything"](small, RegionSettings()).sum()
    )


def test_the_object_leaves_out_the_corner_that_sees_mostly_padding() -> None:
    mean = torch.zeros(2, 6, 6, 6)
    mean[1] = 1  # all of it is foreground
    region = predicted_object(mean, 5)
    assert region.equal(seen_voxels((6, 6, 6), 5))
    assert not region[0, 0, 0]
    assert region[3, 3, 3]
