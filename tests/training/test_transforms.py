from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import CacheDataset

from activelabel.errors import InvalidInputError
from activelabel.recipes import PreprocessingSettings, TrainingSettings
from activelabel.training.transforms import Case, LoadCase, training_transforms

LABELS = ("liver", "tumour")
PREPROCESSING = PreprocessingSettings(intensity="window", window_hu=(0.0, 100.0))
TRAINING = TrainingSettings(
    epochs=1, batch_size=1, patch_size=(8, 8, 8), patches_per_volume=4, learning_rate=1e-3, augment=False
)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """20 x 18 x 6 voxels, x against RAS; the value of a voxel says where it is; a big liver, a tumour of one voxel."""
    x, y, z = np.meshgrid(np.arange(20), np.arange(18), np.arange(6), indexing="ij")
    label = np.zeros((20, 18, 6), dtype=np.uint8)
    label[2:10, 2:10, 1:5] = 1
    label[15, 12, 3] = 2
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    image = (x + y + z + 10 * label).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, affine), tmp_path / "image.nii.gz")
    nibabel.save(nibabel.Nifti1Image(label, affine), tmp_path / "label.nii.gz")
    return {"image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz")}


def patches_of(case: Case, seed: int, settings: TrainingSettings = TRAINING) -> list[dict[str, torch.Tensor]]:
    return training_transforms(LoadCase(PREPROCESSING, LABELS), settings, seed)(case)


def test_a_case_is_read_in_the_orientation_and_range_of_the_network(case: Case) -> None:
    loaded = LoadCase(PREPROCESSING, LABELS)(case)

    assert loaded["image"].shape == loaded["label"].shape == (1, 20, 18, 6)
    # Voxel (15, 12, 3) of the file has x = 15 against RAS, so it is the fifth from the other end: 19 - 15.
    assert loaded["label"][0, 4, 12, 3] == 2
    assert loaded["image"][0, 4, 12, 3].item() == pytest.approx((15 + 12 + 3 + 20) / 100)


def test_a_label_of_another_image_is_refused(case: Case, tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 5, 5), np.uint8), np.eye(4)), tmp_path / "label.nii.gz")

    with pytest.raises(InvalidInputError, match=r"label\.nii\.gz: the label is 5x5x5 voxels"):
        LoadCase(PREPROCESSING, LABELS)(case)


def test_patches_have_the_size_asked_for_also_beyond_the_image(case: Case) -> None:
    patches = patches_of(case, seed=0)

    assert len(patches) == 4
    for patch in patches:
        assert patch["image"].shape == patch["label"].shape == (1, 8, 8, 8)
        assert patch["image"].dtype == torch.float32
        assert type(patch["image"]) is type(patch["label"]) is torch.Tensor
        # Six slices in a patch of eight: one of padding on either side, value 0.
        assert not patch["image"][..., [0, 7]].any()
        assert not patch["label"][..., [0, 7]].any()


def test_image_and_label_are_cut_from_the_same_place(case: Case) -> None:
    whole = LoadCase(PREPROCESSING, LABELS)(case)
    patch = patches_of(case, seed=3)[0]
    inner_image, inner_label = patch["image"][0, :, :, 1:7], patch["label"][0, :, :, 1:7]

    places = [
        (x, y)
        for x in range(13)
        for y in range(11)
        if torch.equal(whole["image"][0, x : x + 8, y : y + 8], inner_image)
    ]

    assert len(places) == 1
    x, y = places[0]
    assert torch.equal(whole["label"][0, x : x + 8, y : y + 8], inner_label)


def test_a_tumour_of_one_voxel_is_seen_as_often_as_a_large_liver(case: Case) -> None:
    """A third of the patches lie around it; it is 1 voxel of 2160."""
    transforms = training_transforms(LoadCase(PREPROCESSING, LABELS), TRAINING, seed=0)
    patches = [patch for _ in range(60) for patch in transforms(case)]

    share = np.mean([bool((patch["label"] == 2).any()) for patch in patches])

    # 240 draws with probability 1/3 or more (a patch around a neighbour may hold it too): four deviations are 0.12.
    assert 1 / 3 - 0.12 < share < 0.8


def test_a_case_without_foreground_gives_patches_too(case: Case, tmp_path: Path) -> None:
    nibabel.save(
        nibabel.Nifti1Image(np.zeros((20, 18, 6), np.uint8), np.diag([-1.0, 1, 2, 1])), tmp_path / "label.nii.gz"
    )

    assert len(patches_of(case, seed=0)) == 4


@pytest.mark.parametrize("augment", [False, True])
def test_the_seed_decides_every_draw(case: Case, augment: bool) -> None:
    settings = TRAINING.model_copy(update={"augment": augment})
    first, again, other = (patches_of(case, seed, settings) for seed in (5, 5, 6))

    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))


def test_augmentation_makes_no_new_label_values_and_moves_image_and_label_together(case: Case) -> None:
    settings = TRAINING.model_copy(update={"augment": True, "patches_per_volume": 40})

    patches = patches_of(case, seed=1, settings=settings)

    for patch in patches:
        assert set(patch["label"].unique().tolist()) <= {0, 1, 2}
        inside, outside = patch["label"] == 1, (patch["label"] == 0) & (patch["image"] > 0.02)
        if inside.sum() > 100 and outside.sum() > 100:  # The liver stays the brighter part, by 10 of 100.
            assert patch["image"][inside].mean() > patch["image"][outside].mean() - 0.02
    distinct = {patch["image"].numpy().tobytes() for patch in patches}
    assert len(distinct) > 30


def test_only_what_is_random_is_done_again(case: Case) -> None:
    """Files are read once when the dataset is made, and can then even be gone."""
    dataset = CacheDataset([case], training_transforms(LoadCase(PREPROCESSING, LABELS), TRAINING, 0), progress=False)
    Path(case["image"]).unlink()

    assert len(dataset[0]) == 4
