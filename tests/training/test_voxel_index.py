"""Random voxels of a label by their value: each voxel of the value equally likely, rare or frequent."""

from collections import Counter

import numpy as np
import pytest
import torch

from activelabel.training.voxel_index import LISTED, ListVoxels, VoxelIndex


def label_with(counts: dict[int, int], size: int = 1000) -> torch.Tensor:
    values = [value for value, count in counts.items() for _ in range(count)]
    label = torch.tensor([*values, *[0] * (size - len(values))], dtype=torch.int16)
    return label[torch.randperm(size, generator=torch.Generator().manual_seed(0))].view(1, 10, 10, 10)


def test_only_voxels_of_rare_values_are_listed() -> None:
    case = ListVoxels()({"label": label_with({1: 500, 2: 15, 4: 3, 5: 16})})
    label = case["label"].flatten()
    # Less than one in 64 of 1000 voxels: 15 and 3, not 16.
    assert label[case[LISTED]].tolist() == [2] * 15 + [4] * 3
    assert VoxelIndex(case).values == [1, 2, 4, 5]


@pytest.mark.parametrize("value", [2, 5, 6])
def test_each_voxel_of_a_value_is_equally_likely(value: int) -> None:
    """Two rare values, of which one comes after another in the list, and a frequent one."""
    label = label_with({1: 600, 2: 5, 5: 10, 6: 20})
    voxels, random = VoxelIndex({"label": label}), np.random.RandomState(0)
    found = Counter(voxels.draw(value, random) for _ in range(2000))
    places = np.flatnonzero(label.numpy().reshape(-1) == value)
    assert set(found) == set(places)
    expected = 2000 / len(places)
    # Chi-squared: with n - 1 degrees of freedom, above n - 1 + 4 sqrt(2 (n - 1)) in less than one of a thousand.
    chi_squared = sum((found[int(place)] - expected) ** 2 / expected for place in places)
    assert chi_squared < len(places) - 1 + 4 * (2 * (len(places) - 1)) ** 0.5


def test_voxels_of_several_values_are_equally_likely_whatever_their_value() -> None:
    voxels, random = VoxelIndex({"label": label_with({1: 600, 2: 5, 3: 45})}), np.random.RandomState(0)
    label = label_with({1: 600, 2: 5, 3: 45}).flatten()
    share = np.mean([int(label[voxels.draw_of([2, 3], random)]) == 2 for _ in range(2000)])
    assert abs(share - 0.1) < 4 * (0.1 * 0.9 / 2000) ** 0.5


def test_a_case_that_was_not_listed_gives_the_same_voxels() -> None:
    label = label_with({1: 600, 2: 5})
    listed, plain = VoxelIndex(ListVoxels()({"label": label})), VoxelIndex({"label": label})
    first, second = np.random.RandomState(3), np.random.RandomState(3)
    assert [listed.draw(2, first) for _ in range(5)] == [plain.draw(2, second) for _ in range(5)]
