"""Patches and strides against numbers worked out by hand."""

import math

import pytest

from activelabel.recipes.fingerprint import Machine
from activelabel.recipes.patch_size import fit_patch

CPU = Machine(8 * 2**30, has_gpu=False)
GPU = Machine(8 * 2**30, has_gpu=True)


def test_a_small_image_is_one_patch_of_multiples_of_its_strides() -> None:
    """35 / 4 is between 8 and 16: three halvings, and multiples of 8."""
    assert fit_patch("unet", (35, 50, 36), 16, GPU) == ((40, 56, 40), 3, False)
    assert fit_patch("unet", (40, 48, 40), 16, CPU) == ((40, 48, 40), 3, False)


def test_on_a_processor_there_is_a_level_less_where_a_patch_would_be_mostly_padding() -> None:
    """40 · 56 · 40 = 89,600 is 1.42 times the 63,000 voxels of the image, 36 · 52 · 36 = 67,392 is 1.07 times."""
    assert fit_patch("unet", (35, 50, 36), 16, CPU) == ((36, 52, 36), 2, False)
    # 33 voxels are rounded up to 36 with two strides, 1.30 times as many: fewer than two strides are never taken.
    assert fit_patch("unet", (33, 33, 33), 16, CPU) == ((36, 36, 36), 2, False)


def test_a_large_patch_is_shortened_along_its_longest_axis_until_it_fits() -> None:
    """64³ → 48·64·64 → 48·56·64 → 48·56·56 → 48·48·56 = 129,024, the first below 131,072."""
    assert fit_patch("unet", (64, 64, 64), 16, CPU) == ((48, 48, 56), 3, True)


def test_the_memory_bounds_a_patch_on_a_gpu() -> None:
    """Two patches of 32 channels at 30 bytes: 1,920 bytes a voxel, so that 1 GiB holds 559,240 voxels."""
    patch, _, shrunk = fit_patch("unet", (512, 512, 300), 32, Machine(2**30, has_gpu=True))
    assert shrunk
    assert 0.7 * 559_240 < math.prod(patch) <= 559_240
    assert patch[0] / 512 == pytest.approx(patch[2] / 300, rel=0.25)
