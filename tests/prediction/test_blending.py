"""Blends worked out by hand, and properties that hold for any windows."""

import math

import pytest
import torch

from activelabel.prediction.blending import Blend, gaussian_weights
from activelabel.prediction.windows import WindowGrid, window_grid

CPU = torch.device("cpu")


def test_weights_are_a_gaussian_of_an_eighth_of_the_side() -> None:
    weights = gaussian_weights((9, 1, 1)).flatten().tolist()
    # Two voxels from the middle of nine: distance 2, sigma 9/8.
    assert weights[4] == 1.0
    assert weights[2] == weights[6] == pytest.approx(math.exp(-0.5 * (2 / 1.125) ** 2), rel=1e-5)
    assert weights[0] == pytest.approx(1.8e-3, rel=0.01)


def test_weights_have_a_floor_and_are_the_product_of_their_axes() -> None:
    weights = gaussian_weights((16, 12, 8))
    assert float(weights.min()) == pytest.approx(1e-3)
    middle = gaussian_weights((16, 1, 1)).flatten()[6] * gaussian_weights((1, 12, 1)).flatten()[5]
    assert float(weights[6, 5, 3]) == pytest.approx(float(middle * gaussian_weights((1, 1, 8)).flatten()[3]), rel=1e-5)


def empty_blend(grid: WindowGrid, repeats: int) -> Blend:
    """Return an empty blend for two classes."""
    blend = Blend(grid, repeats, classes=2, device=CPU)
    blend.clear()
    return blend


def test_two_windows_are_averaged_by_their_weights() -> None:
    grid = window_grid((3, 1, 1), (2, 1, 1), 0.5)
    blend = empty_blend(grid, repeats=1)
    blend.add(0, slice(0, 1), torch.tensor([[[0.2, 0.4], [0.8, 0.6]]]).view(1, 2, 2, 1, 1))
    blend.add(1, slice(0, 1), torch.tensor([[[0.8, 0.6], [0.2, 0.4]]]).view(1, 2, 2, 1, 1))
    # Both voxels of a window weigh the same, so the middle one is the plain mean of 0.4 and 0.8.
    assert blend.maps()[0, 0].flatten().tolist() == pytest.approx([0.2, 0.6, 0.6])
    assert blend.maps().shape == (1, 2, 3, 1, 1)


def test_the_window_whose_middle_is_nearer_weighs_more() -> None:
    grid = window_grid((8, 1, 1), (6, 1, 1), 0.5)
    assert grid.starts == ((0, 0, 0), (2, 0, 0))
    blend = empty_blend(grid, repeats=1)
    blend.add(0, slice(0, 1), torch.zeros(1, 2, 6, 1, 1))
    blend.add(1, slice(0, 1), torch.ones(1, 2, 6, 1, 1))
    # Voxel 4 is 1.5 from the middle of the first window and 0.5 from that of the second; sigma is 6/8.
    far, near = math.exp(-2), math.exp(-2 / 9)
    assert float(blend.maps()[0, 0, 4]) == pytest.approx(near / (near + far), rel=1e-5)


def test_repeats_do_not_mix_and_clearing_forgets() -> None:
    blend = empty_blend(window_grid((3, 1, 1), (2, 1, 1), 0.5), repeats=2)
    certain = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1, 1).expand(1, 2, 2, 1, 1)
    for _ in range(2):
        for window in range(2):
            blend.add(window, slice(0, 1), certain)
            blend.add(window, slice(1, 2), certain.flip(1))
        assert blend.maps()[:, 1].flatten(1).tolist() == [[0.0] * 3, [1.0] * 3]
        blend.clear()


@pytest.mark.parametrize(("volume", "windows"), [(3, 2), (2, 1), (1, 1)])
def test_a_skipped_window_is_background_in_every_repeat(volume: int, windows: int) -> None:
    blend = empty_blend(window_grid((volume, 1, 1), (2, 1, 1), 0.5), repeats=2)
    for window in range(windows):
        blend.add_background(window)
    assert blend.maps()[:, 0].eq(1).all()
    assert blend.maps()[:, 1].eq(0).all()


def test_one_window_is_kept_to_the_bit_and_cropped() -> None:
    blend = empty_blend(window_grid((2, 1, 1), (4, 1, 1), 0.25), repeats=1)
    probabilities = torch.softmax(torch.randn(1, 2, 4, 1, 1, generator=torch.Generator().manual_seed(0)), dim=1)
    blend.add(0, slice(0, 1), probabilities)
    assert blend.maps().equal(probabilities[:, :, 1:3])
