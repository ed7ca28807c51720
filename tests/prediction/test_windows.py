"""Places of windows against MONAI's, and properties that hold for any size."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.data.utils import dense_patch_slices
from monai.inferers.utils import _get_scan_interval

from activelabel.prediction.windows import Size3D, WindowedVolume, holds_nothing, window_grid

sizes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))


@given(sizes, st.tuples(*[st.integers(4, 16)] * 3), st.sampled_from([0, 0.25, 0.5]))
def test_windows_lie_where_monai_puts_them(volume: Size3D, window: Size3D, overlap: float) -> None:
    grid = window_grid(volume, window, overlap)
    interval = _get_scan_interval(grid.padded_size, window, 3, (overlap,) * 3)
    assert grid.boxes() == dense_patch_slices(grid.padded_size, window, interval)


@given(sizes, sizes, st.floats(0, 0.95))
def test_every_voxel_has_a_window_and_none_sticks_out(volume: Size3D, window: Size3D, overlap: float) -> None:
    grid = window_grid(volume, window, overlap)
    covered = torch.zeros(grid.padded_size, dtype=torch.bool)
    for box in grid.boxes():
        assert covered[box].shape == window
        covered[box] = True
    assert covered.all()


@given(sizes, sizes)
def test_cropping_undoes_padding(volume: Size3D, window: Size3D) -> None:
    grid = window_grid(volume, window, 0.25)
    image = torch.arange(1.0, 1 + volume[0] * volume[1] * volume[2]).view(1, *volume)
    padded = grid.pad(image)
    assert padded.shape[1:] == grid.padded_size
    assert grid.crop(padded).equal(image)
    assert padded.unique().equal(image.unique())  # only voxels of the image, no zeros


def test_the_odd_voxel_of_padding_comes_after() -> None:
    grid = window_grid((1, 3, 3), (4, 6, 3), 0.0)
    assert grid.inside() == (slice(1, 2), slice(1, 4), slice(0, 3))
    padded = grid.pad(torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1).expand(1, 1, 3, 3))
    assert padded[0, :, 2, 0].tolist() == [2, 2, 2, 2]
    assert padded[0, 1, :, 0].tolist() == [2, 1, 2, 3, 2, 1]


def test_places_of_windows_by_hand() -> None:
    # Steps of 4·0.75 = 3; the last window ends with the volume.
    assert window_grid((9, 4, 3), (4, 4, 4), 0.25).starts == ((0, 0, 0), (3, 0, 0), (5, 0, 0))


def test_a_margin_is_reflected_whatever_the_size_and_cut_off_again() -> None:
    """Nine voxels and two on either side: windows of 4 over 13. Two voxels fit into a window of 8 without more."""
    assert [x for x, _, _ in window_grid((9, 1, 1), (4, 1, 1), 0.25, (2, 0, 0)).starts] == [0, 3, 6, 9]
    grid = window_grid((9, 2, 1), (4, 8, 1), 0.25, (2, 2, 0))
    assert grid.padded_size == (13, 8, 1)
    assert grid.inside() == (slice(2, 11), slice(3, 5), slice(0, 1))
    image = torch.arange(18.0).view(1, 9, 2, 1)
    padded = grid.pad(image)
    np.testing.assert_array_equal(padded.numpy(), np.pad(image.numpy(), [(0, 0), (2, 2), (3, 3), (0, 0)], "reflect"))
    assert grid.crop(padded).equal(image)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (torch.full((1, 2, 2, 2), -1.0), True),
        (torch.zeros(1, 2, 2, 2), True),
        (torch.stack([torch.zeros(2, 2), torch.ones(2, 2)]), True),
        (torch.tensor([[0.0, 0.0, 1e-6]]), False),
        (torch.tensor([[0.0, float("nan")]]), False),
    ],
)
def test_a_window_holds_nothing_where_each_channel_is_constant(window: torch.Tensor, expected: bool) -> None:
    assert holds_nothing(window) is expected


def test_a_windowed_volume_sorts_its_windows_and_cuts_them_out() -> None:
    image = torch.zeros(1, 8, 2, 2)
    image[0, 5, 0, 0] = 1
    grid = window_grid((8, 2, 2), (2, 2, 2), 0.0)
    volume = WindowedVolume(image, grid, skip_empty=True)
    assert (volume.occupied, volume.skipped) == ([2], [0, 1, 3])
    assert volume.batch([1, 2]).flatten(1).sum(dim=1).tolist() == [0, 1]
    everything = WindowedVolume(image, grid, skip_empty=False)
    assert (everything.occupied, everything.skipped) == ([0, 1, 2, 3], [])
