from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from activelabel.data.volumes import Volume, read_volume
from activelabel.errors import InvalidInputError
from activelabel.training.pseudo_labels import foreground, pseudo_label, soft_tissue

AIR = -1000.0


def a_volume(array: np.ndarray) -> Volume:
    return Volume(array.astype(np.float32), np.eye(4), Path("case7.nii.gz"))


def air(*shape: int) -> np.ndarray:
    return np.full(shape, AIR, np.float32)


def test_the_paper_s_window_is_100_to_150_hounsfield_units_with_both_ends() -> None:
    hu = air(7, 2, 2)
    hu[:, 0, 0] = [99.9, 100, 125, 150, 150.1, 100, 99]

    found = soft_tissue(hu)

    assert np.argwhere(found).tolist() == [[1, 0, 0], [2, 0, 0], [3, 0, 0]]


def test_window_and_level_are_width_and_middle() -> None:
    hu = air(5, 2, 2)
    hu[:, 0, 0] = [-12.6, -12.5, 50, 112.5, 112.6]

    found = soft_tissue(hu, window_hu=125, level_hu=50)

    assert np.flatnonzero(found[:, 0, 0]).tolist() == [1, 2, 3]


def test_voxels_that_touch_at_a_corner_are_connected_and_the_largest_component_stays() -> None:
    hu = air(6, 6, 6)
    diagonal = [(0, 0, 0), (1, 1, 1), (2, 2, 2)]
    for voxel in [*diagonal, (5, 5, 4), (5, 5, 5)]:
        hu[voxel] = 125

    assert [tuple(voxel) for voxel in np.argwhere(soft_tissue(hu))] == diagonal


def test_of_components_of_one_size_the_first_stays() -> None:
    hu = air(6, 2, 2)
    hu[[1, 4], 0, 0] = 125

    assert np.argwhere(soft_tissue(hu)).tolist() == [[1, 0, 0]]


def test_a_window_without_voxels_gives_an_empty_mask() -> None:
    assert soft_tissue(air(3, 4, 5)).shape == (3, 4, 5)
    assert not soft_tissue(air(3, 4, 5)).any()


@given(arrays(np.float32, (4, 3, 5), elements=st.sampled_from([AIR, 110.0, 200.0])))
def test_soft_tissue_is_one_component_and_no_other_is_larger(hu: np.ndarray) -> None:
    """The component is compared with a flood that grows by dilation."""
    inside = (hu >= 100) & (hu <= 150)
    sizes = []
    left = inside.copy()
    while left.any():
        seed = np.zeros_like(left)
        seed[tuple(np.argwhere(left)[0])] = True
        component = ndimage.binary_dilation(seed, np.ones((3, 3, 3)), iterations=-1, mask=inside)
        sizes.append(int(component.sum()))
        left &= ~component

    found = soft_tissue(hu)

    assert not (found & ~inside).any()
    assert found.sum() == max(sizes, default=0)


@pytest.mark.parametrize(("window", "level"), [(0, 125), (-50, 125), (float("nan"), 125), (50, float("inf"))])
def test_a_window_that_holds_nothing_is_one_line(window: float, level: float) -> None:
    with pytest.raises(InvalidInputError, match=r"^proxy\.window_hu is \S+ around proxy\.level_hu \S+: .* above 0"):
        soft_tissue(air(2, 2, 2), window, level)


def head(background: float, fluid: float, tissue: float, bright: float, size: int = 16) -> np.ndarray:
    """Return a box of tissue in a constant background, with a box of fluid inside it and a bright lesion."""
    volume = np.full((size, size, size), background, np.float32)
    volume[3:13, 3:13, 3:13] = tissue
    volume[6:10, 6:10, 6:10] = fluid
    volume[4:6, 4:12, 4:12] = bright
    return volume


def majority(mask: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Return voxels of the body with most of their 27 neighbours in a mask, by counting; borders are repeated."""
    padded = np.pad(mask.astype(int), 1, mode="edge")
    w, h, d = mask.shape
    votes = sum(padded[x : x + w, y : y + h, z : z + d] for x in range(3) for y in range(3) for z in range(3))
    return (votes >= 14) & body


@pytest.mark.parametrize("background", [0.0, -5.0, 700.0, 40.0])
def test_a_constant_background_is_never_foreground_whatever_its_value(background: float) -> None:
    """Backgrounds include 0 in a z-scored image, with tissue on both sides of it, and one brighter than all tissue."""
    volume = head(background, fluid=-2.0, tissue=0.5, bright=3.0)

    found = foreground(volume)

    np.testing.assert_array_equal(found, majority(np.isin(volume, [0.5, 3.0]), volume != background))
    assert found[7, 4, 4]
    assert not found[7, 7, 7]
    assert not found[0, 0, 0]


@settings(max_examples=20)
@given(scale=st.sampled_from([0.25, 1.0, 64.0]), shift=st.integers(-500, 500), seed=st.integers(0, 20))
def test_scaling_and_shifting_changes_nothing(scale: float, shift: int, seed: int) -> None:
    volume = np.random.default_rng(seed).integers(0, 256, (8, 8, 8)).astype(np.float32)
    volume[2:7, 2:7, 2:7] += 512

    np.testing.assert_array_equal(foreground(volume), foreground(volume * np.float32(scale) + np.float32(shift)))


def test_a_crop_without_background_is_divided_into_fluid_and_tissue() -> None:
    """Four layers with noise: the darkest is left out, the three others, of different brightness, are foreground."""
    layers = np.repeat([20.0, 100.0, 180.0, 260.0], 6)
    volume = layers[:, None, None] + np.random.default_rng(0).normal(0, 5, (24, 10, 10))

    found = foreground(volume.astype(np.float32))

    np.testing.assert_array_equal(found, np.broadcast_to(layers[:, None, None] > 50, volume.shape))


def test_components_down_to_a_tenth_of_the_largest_are_kept() -> None:
    volume = np.zeros((30, 14, 14), np.float32)
    volume[2:12, 2:12, 2:12] = 1.0
    volume[15:20, 2:8, 2:8] = 1.0
    volume[24:27, 2:5, 2:5] = 1.0

    found = foreground(volume)

    assert found[5, 5, 5]
    assert found[17, 5, 5]
    assert not found[23:].any()


def test_background_and_one_other_value_are_told_apart() -> None:
    volume = np.zeros((8, 8, 8), np.float32)
    volume[2:6, 2:6, 2:6] = 7.0

    np.testing.assert_array_equal(foreground(volume), majority(volume > 0, volume > 0))


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_a_constant_image_has_no_foreground(value: float) -> None:
    assert not foreground(np.full((4, 4, 4), value, np.float32)).any()


@pytest.mark.parametrize(
    ("array", "modality", "line"),
    [
        (air(4, 4, 4), "CT", r"\(100 to 150 HU\) is empty.* -1000 to -1000: check proxy\.window_hu"),
        (np.full((4, 4, 4), 120.0), "CT", r"\(100 to 150 HU\) is everything"),
        (np.zeros((4, 4, 4)), "other", r"\(foreground by intensity\) is empty.* 0 to 0: check the image"),
    ],
)
def test_a_volume_without_a_pseudo_label_is_one_line_that_names_it(array: np.ndarray, modality: str, line: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"^case7\.nii\.gz: its pseudo-label {line}[^\n]*ranked last$"):
        pseudo_label(a_volume(array), modality)  # type: ignore[arg-type]


def test_the_modality_chooses_the_rule_of_the_pseudo_label() -> None:
    volume = a_volume(head(AIR, fluid=0, tissue=50, bright=125))

    np.testing.assert_array_equal(pseudo_label(volume, "CT"), volume.array == 125)
    np.testing.assert_array_equal(pseudo_label(volume, "CT", 60, 50), volume.array == 50)
    np.testing.assert_array_equal(pseudo_label(volume, "other"), foreground(volume.array))


def test_in_a_ct_without_contrast_the_paper_s_window_is_the_rim_of_bones_and_exchanged_the_soft_organs(
    real_images: Path,
) -> None:
    volume = read_volume(real_images / "ct" / "ct.nii.gz")
    at_bone = ndimage.binary_dilation(volume.array > 200, np.ones((3, 3, 3)))
    organs = ndimage.binary_opening((volume.array >= 20) & (volume.array <= 70), np.ones((3, 3, 3)))

    rim, tissue = pseudo_label(volume, "CT", 50, 125), pseudo_label(volume, "CT", 125, 50)

    assert at_bone[rim].mean() > 0.75
    assert rim.mean() < 0.01
    assert not rim[organs].any()
    assert tissue[organs].mean() > 0.99
    assert 0.2 < tissue.mean() < 0.3
    assert at_bone[tissue].mean() < 0.15


def test_hippocampus_crops_are_mostly_tissue_and_hold_the_hippocampus(real_images: Path) -> None:
    """Without any label, the foreground of 20 crops holds nearly all of the hippocampus, and not all of the rest."""
    inside, shares = [], []
    for image in sorted((real_images / "hippocampus" / "images").glob("*.nii.gz"))[:20]:
        volume = read_volume(image)
        label = read_volume(real_images / "hippocampus" / "labels" / image.name).array > 0
        mask = pseudo_label(volume, "other")
        inside.append(float(mask[label].mean()))
        shares.append(float(mask.mean()))

    assert np.mean(inside) > 0.95
    assert min(shares) > 0.7
    assert max(shares) < 0.95


def test_a_skull_stripped_brain_is_the_brain_without_its_fluid(real_images: Path) -> None:
    volume = read_volume(real_images / "brats2015" / "brats_2013_pat0004_1_flair.nii.gz")
    brain = volume.array != volume.array[0, 0, 0]

    mask = pseudo_label(volume, "other")

    assert not mask[~brain].any()
    assert 0.85 < mask[brain].mean() < 0.99
