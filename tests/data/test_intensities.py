"""Percentiles of image intensities, which a few extreme voxels do not change."""

import numpy as np
import pytest

from activelabel.data.intensities import (
    NO_HOUNSFIELD,
    Intensities,
    is_hounsfield,
    is_offset,
    measure_intensities,
    odd_ones,
)


def ct(seed: int = 0) -> np.ndarray:
    """Return a CT of half air, a tenth fat, the rest soft tissue."""
    random = np.random.default_rng(seed)
    return np.concatenate([np.full(500, -1000), random.normal(-100, 10, 100), random.normal(40, 20, 400)]).astype("f4")


def mr(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(500, 60, 1000).clip(0).astype("f4")


def test_percentiles_are_worked_out_over_all_voxels() -> None:
    assert measure_intensities(np.arange(201, dtype=np.float32)) == Intensities(1.0, 100.0, 199.0, 0.0)


@pytest.mark.parametrize(
    ("voxels", "expected"),
    [
        (ct(), True),
        (mr(), False),
        (np.append(mr(), np.float32(-201)), False),  # one voxel of a thousand, as spline resampling leaves it
        (ct() + 1024, False),
        (ct() - 1024, False),  # air at -2024, and hardly anything where tissue is
        (ct().clip(-160, 240), False),
        (mr() - 2048, False),
    ],
)
def test_hounsfield_units_have_air_and_soft_tissue(voxels: np.ndarray, expected: bool) -> None:
    assert is_hounsfield(voxels) is expected


@pytest.mark.parametrize(
    ("others", "one", "expected"),
    [
        (mr, mr(9) - 2048, "stored with an offset"),
        (mr, ct(9), "look like Hounsfield units, and the others' do not"),
        (ct, ct(9) + 1024, "no Hounsfield units"),
        (ct, ct(9).clip(-160, 240), "no Hounsfield units"),
        (mr, mr(9) * 1000 - 499_000, "another scale"),
    ],
)
def test_the_image_whose_intensities_differ_from_the_others_is_named(
    others: object, one: np.ndarray, expected: str
) -> None:
    images = {f"case{number}": measure_intensities(others(number)) for number in range(4)}
    odd = odd_ones({**images, "odd": measure_intensities(one)})
    assert list(odd) == ["odd"]
    assert expected in odd["odd"]


def test_one_hot_voxel_makes_no_odd_image_and_two_images_name_none() -> None:
    hot = mr(9)
    hot[0] = 1e6
    assert odd_ones({str(n): measure_intensities(mr(n)) for n in range(4)} | {"hot": measure_intensities(hot)}) == {}
    assert odd_ones({"a": measure_intensities(mr()), "b": measure_intensities(mr() - 2048)}) == {}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Intensities(24, 1064, 1700, 0), True),  # a body with air, stored + 1024
        (Intensities(-1000, 40, 700, 1), False),
        (Intensities(-120, 45, 900, 0), False),  # cut out without air: there is fat
        (Intensities(0, 30, 90, 0), False),  # a brain without its skull
        (Intensities(-160, 20, 240, 0), False),  # clipped to a window
        (Intensities(30, 420, 1600, 0), False),  # cropped to bone
        (Intensities(0, 0, 1200, 0), False),  # a head with its skull, and 0 around it
        (Intensities(0, 55, 900, 0), False),  # an organ with contrast and calcium, and 0 around it
        (Intensities(0, 1200, 3071, 0), True),
    ],
)
def test_a_ct_without_negative_values_and_with_water_at_a_thousand_is_stored_with_an_offset(
    image: Intensities, expected: bool
) -> None:
    assert is_offset(image) == expected


def test_an_offset_is_seen_beside_a_few_negative_voxels_and_no_bone_is_taken_for_one() -> None:
    with_streaks = np.concatenate([ct()[200:] + 1024, np.full(4, -50, "f4")])
    assert is_offset(measure_intensities(with_streaks))
    assert "hardly a value is below 0" in NO_HOUNSFIELD
    bone = np.random.default_rng(0).normal(600, 250, 10_000).clip(100, 2000).astype("f4")
    assert not is_offset(measure_intensities(bone))
