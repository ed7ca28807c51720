"""Sums and means worked out by hand, and their relations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from activelabel.acquisition.aggregation import mean, slice_products, slice_profile, slice_totals, slice_voxels, total

# Two slices along axis 0, three along axis 1, two along axis 2.
MAP = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[7.0, 8.0], [9.0, 10.0], [11.0, 12.0]]])
REGION = MAP > 8


@st.composite
def map_and_region(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, max_side=5))
    values = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 8, width=32)))
    return values, draw(hnp.arrays(np.bool_, shape))


def test_total_and_mean_over_everything() -> None:
    assert total(MAP) == 78.0
    assert mean(MAP) == 6.5


def test_total_and_mean_over_a_region() -> None:
    assert total(MAP, REGION) == 9 + 10 + 11 + 12
    assert mean(MAP, REGION) == 10.5


def test_an_empty_region_gives_zero() -> None:
    empty = torch.zeros_like(REGION)
    assert total(MAP, empty) == 0.0
    assert mean(MAP, empty) == 0.0
    assert mean(torch.empty(0, 3)) == 0.0
    assert slice_profile(MAP, 0, empty).tolist() == [0.0, 0.0]


def test_profiles_along_each_axis() -> None:
    assert slice_profile(MAP, 0).tolist() == [3.5, 9.5]
    assert slice_profile(MAP, 1).tolist() == [4.5, 6.5, 8.5]
    assert slice_profile(MAP, 2).tolist() == [6.0, 7.0]
    assert slice_profile(MAP, -1).tolist() == [6.0, 7.0]


def test_profile_over_a_region_divides_by_its_voxels_in_each_slice() -> None:
    assert slice_totals(MAP, 1, REGION).tolist() == [0.0, 19.0, 23.0]
    assert slice_profile(MAP, 1, REGION).tolist() == [0.0, 9.5, 11.5]


def test_sums_of_many_small_values_are_exact_enough() -> None:
    # In float32 a running sum would stop growing at 2**24.
    assert total(torch.ones(1 << 25)) == 2.0**25


def test_a_nan_stays_visible_in_its_slice_and_volume_whatever_the_region() -> None:
    map = MAP.clone()
    map[0, 0, 0] = math.nan
    for region in (None, REGION):
        assert math.isnan(total(map, region))
        assert math.isnan(mean(map, region))
        assert slice_totals(map, 0, region).isnan().tolist() == [True, False]
        assert slice_profile(map, 1, region).isnan().tolist() == [True, False, False]


@pytest.mark.parametrize("axis", [0, 1, 2, -3])
def test_a_map_of_several_blocks_equals_numpy(axis: int) -> None:
    generator = torch.Generator().manual_seed(1)
    map = torch.rand((70, 80, 90), generator=generator)
    region = torch.rand((70, 80, 90), generator=generator) > 0.7
    others = tuple({0, 1, 2} - {axis % 3})
    expected = np.sum(map.numpy(), axis=others, where=region.numpy(), dtype=np.float64)
    np.testing.assert_allclose(slice_totals(map, axis, region).numpy(), expected, rtol=1e-6)
    voxels = region.numpy().sum(axis=others)
    assert slice_voxels(map, axis, region).tolist() == voxels.tolist()
    np.testing.assert_allclose(slice_profile(map, axis, region).numpy(), expected / voxels, rtol=1e-6)
    assert total(map, region) == pytest.approx(expected.sum(), rel=1e-6)


@pytest.mark.parametrize("shape", [(3, 4, 5), (30, 40, 50), (2, 300, 200), (7, 5)])
def test_products_with_masks_are_the_sums_over_regions(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    maps, masks = torch.rand((3, *shape), generator=generator), torch.rand((2, *shape), generator=generator) > 0.4
    for axis in range(len(shape)):
        found = slice_products(maps, masks.float(), axis)
        expected = [[slice_totals(map, axis, mask) for mask in masks] for map in maps]
        torch.testing.assert_close(found, torch.stack([torch.stack(row) for row in expected]), rtol=1e-6, atol=1e-6)
    maps[0, 0] = math.nan
    assert slice_products(maps, masks.float(), 0)[0, :, 0].isnan().all()


def test_one_axis_is_enough() -> None:
    assert total(torch.tensor([1.0, 2.0])) == 3.0
    assert slice_totals(torch.tensor([1.0, 2.0]), 0).tolist() == [1.0, 2.0]
    assert slice_profile(torch.tensor([1.0, 2.0]), 0).tolist() == [1.0, 2.0]


@given(map_and_region(), st.integers(0, 2))
def test_slices_add_up_to_the_volume(drawn: tuple[np.ndarray, np.ndarray], axis: int) -> None:
    map, region = (torch.from_numpy(array) for array in drawn)
    assert float(slice_totals(map, axis, region).sum()) == pytest.approx(total(map, region))
    assert float(slice_totals(map, axis).sum()) == pytest.approx(total(map))


@given(map_and_region(), st.integers(0, 2))
def test_profiles_equal_numpy(drawn: tuple[np.ndarray, np.ndarray], axis: int) -> None:
    map, region = drawn
    for index in range(map.shape[axis]):
        inside = np.take(map, index, axis)[np.take(region, index, axis)]
        expected = inside.mean(dtype=np.float64) if inside.size else 0.0
        assert float(slice_profile(torch.from_numpy(map), axis, torch.from_numpy(region))[index]) == pytest.approx(
            expected
        )
