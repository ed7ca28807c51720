from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import CacheDataset

from activelabel.data.label_checking import write_label
from activelabel.data.preprocessing import prepare_image
from activelabel.data.volumes import read_volume
from activelabel.recipes import PreprocessingSettings, SemiSupervisedSettings, TrainingSettings
from activelabel.training.two_views import LoadNoisyCase, NoisyCase, two_view_transforms

PREPROCESSING = PreprocessingSettings(intensity="window", window_hu=(0.0, 1000.0))
TRAINING = TrainingSettings(epochs=1, batch_size=1, patch_size=(6, 6, 6), patches_per_volume=5, learning_rate=1e-3)
AROUND_FOREGROUND = SemiSupervisedSettings(foreground_share=1.0)


@pytest.fixture
def case(tmp_path: Path) -> NoisyCase:
    """A case of 12 x 10 x 8 different voxels, x and y against RAS; the noisy label has class 2 at one."""
    values = np.arange(12 * 10 * 8, dtype=np.float32).reshape(12, 10, 8)
    image, label = tmp_path / "image.nii.gz", tmp_path / "noisy.nii.gz"
    write_label(image, values.astype(np.uint16), np.diag([-1.0, -1.0, 2.0, 1.0]))
    prepared = prepare_image(read_volume(image), PREPROCESSING)
    noisy = np.zeros(prepared.grid.shape, np.uint8)
    noisy[3, 7, 2] = 2
    write_label(label, noisy, prepared.grid.affine_ras)
    return {"image": str(image), "noisy_label": str(label)}


def views(case: NoisyCase, settings: SemiSupervisedSettings = AROUND_FOREGROUND) -> list[dict[str, torch.Tensor]]:
    return two_view_transforms(LoadNoisyCase(PREPROCESSING), TRAINING, settings, seed=0)(case)


def test_a_noisy_label_lies_on_the_prepared_image_and_is_shifted_by_one(case: NoisyCase) -> None:
    loaded = LoadNoisyCase(PREPROCESSING)(case)

    assert loaded["image"].shape == loaded["label"].shape == (1, 12, 10, 8)
    # Voxel (3, 7, 2) of the prepared image is (8, 2, 2) of the file: x and y run against RAS.
    assert loaded["image"][0, 3, 7, 2].item() == pytest.approx((8 * 80 + 2 * 8 + 2) / 1000)
    assert loaded["label"][0, 3, 7, 2] == 3
    assert int(loaded["label"].sum()) == 12 * 10 * 8 + 2


def test_a_noisy_label_of_another_grid_is_refused(case: NoisyCase) -> None:
    finer = PREPROCESSING.model_copy(update={"spacing_mm": (0.5, 1.0, 2.0)})

    with pytest.raises(ValueError, match=r"expected \(23, 10, 8\) as the prepared image, got \(12, 10, 8\)"):
        LoadNoisyCase(finer)(case)


def test_the_plain_view_is_the_image_around_the_noisy_label(case: NoisyCase) -> None:
    patches = views(case)

    certain = (8 * 80 + 2 * 8 + 2) / 1000
    known = set(np.round(np.arange(960) / 1000, 3))
    assert len(patches) == 5
    for patch in patches:
        assert patch["plain"].shape == (1, 6, 6, 6)
        voxels = np.round(patch["plain"].numpy().ravel().astype(float), 3)
        assert set(voxels) <= known
        assert np.isclose(voxels, certain).sum() == 1


def test_the_augmented_view_shows_the_same_voxels_in_other_intensities(case: NoisyCase) -> None:
    """Intensities are scaled and shifted by at most a tenth each, with noise of standard deviation 0.05."""
    for patch in views(case):
        assert patch["augmented"].shape == patch["plain"].shape
        assert not torch.equal(patch["augmented"], patch["plain"])
        both = torch.stack([patch["augmented"].flatten(), patch["plain"].flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.9
        assert (patch["augmented"] - patch["plain"]).abs().max() < 0.1 + 0.1 + 6 * 0.05


def test_the_patches_not_drawn_for_foreground_lie_around_background(case: NoisyCase) -> None:
    """All voxels except one are foreground, so all patches lie around this one."""
    prepared = prepare_image(read_volume(case["image"]), PREPROCESSING)
    noisy = np.ones(prepared.grid.shape, np.uint8)
    noisy[3, 7, 2] = 0
    write_label(Path(case["noisy_label"]), noisy, prepared.grid.affine_ras)
    value = prepared.tensor[0, 3, 7, 2]

    for patch in views(case, SemiSupervisedSettings(foreground_share=0.0)):
        assert (patch["plain"] - value).abs().min() < 1e-6


def test_an_image_smaller_than_a_patch_is_reflected(case: NoisyCase) -> None:
    wide = TRAINING.model_copy(update={"patch_size": (16, 6, 6)})

    for patch in two_view_transforms(LoadNoisyCase(PREPROCESSING), wide, AROUND_FOREGROUND, seed=0)(case):
        assert patch["plain"].shape == patch["augmented"].shape == (1, 16, 6, 6)
        # Two planes before the image of twelve, and two behind it.
        torch.testing.assert_close(patch["plain"][0, [0, 1, 14, 15]], patch["plain"][0, [4, 3, 12, 11]])


def test_the_seed_fixes_both_views(case: NoisyCase) -> None:
    for one, other in zip(views(case), views(case), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_a_cached_case_gives_new_views_each_time(case: NoisyCase) -> None:
    transforms = two_view_transforms(LoadNoisyCase(PREPROCESSING), TRAINING, AROUND_FOREGROUND, seed=0)
    dataset = CacheDataset([case], transforms, progress=False)

    first, second = dataset[0][0], dataset[0][0]

    assert not torch.equal(first["augmented"], second["augmented"])
