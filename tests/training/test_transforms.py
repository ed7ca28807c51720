from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import CacheDataset

from activelabel.data.labels.label_texts import parse_labels
from activelabel.errors import InvalidInputError
from activelabel.networks import build_network
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.recipes import NetworkSettings, PreprocessingSettings, TrainingSettings
from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.losses.by_name import UNANNOTATED, MarkedLabelLoss, build_loss
from activelabel.training.transforms import Case, LoadCase, training_transforms

LABELS = ("liver", "tumour")
PREPROCESSING = PreprocessingSettings(intensity="window", window_hu=(0.0, 100.0))
TRAINING = TrainingSettings(
    epochs=1, batch_size=1, patch_size=(8, 8, 8), patches_per_volume=4, learning_rate=1e-3, augmentation="none"
)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A case of 20 x 18 x 6 voxels, x against RAS, with position as value; a big liver, a one-voxel tumour."""
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


def test_a_kept_image_is_not_read_again(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = PreparedImages(tmp_path / "kept")
    first = LoadCase(PREPROCESSING, LABELS, kept)(case)

    def read(image: object) -> None:
        raise AssertionError("the image is read again")

    monkeypatch.setattr("activelabel.prediction.prepared.images.read_volume", read)
    again = LoadCase(PREPROCESSING, LABELS, kept)(case)

    assert all(torch.equal(first[key], again[key]) for key in first)
    with pytest.raises(AssertionError, match="read again"):
        LoadCase(PREPROCESSING, LABELS)(case)


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
        assert patch["label"].dtype == torch.int16
        assert type(patch["image"]) is type(patch["label"]) is torch.Tensor
        # Six slices in a patch of eight: one reflected on either side, which is not annotated.
        torch.testing.assert_close(patch["image"][..., [0, 7]], patch["image"][..., [2, 5]], rtol=0, atol=0)
        assert (patch["label"][..., [0, 7]] == UNANNOTATED).all()
        assert (patch["label"][..., 1:7] != UNANNOTATED).all()


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


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS))
def test_the_seed_decides_every_draw(case: Case, augmentation: str) -> None:
    settings = TRAINING.model_copy(update={"augmentation": augmentation})
    first, again, other = (patches_of(case, seed, settings) for seed in (5, 5, 6))

    assert all(torch.equal(a["image"], b["image"]) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a["image"], b["image"]) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("augmentation", ["scan", "blur_rotate_flip"])
def test_augmentation_makes_no_new_label_values_and_moves_image_and_label_together(
    case: Case, augmentation: str
) -> None:
    settings = TRAINING.model_copy(update={"augmentation": augmentation, "patches_per_volume": 40})

    patches = patches_of(case, seed=1, settings=settings)

    for patch in patches:
        assert set(patch["label"].unique().tolist()) <= {UNANNOTATED, 0, 1, 2}
        inside, outside = patch["label"] == 1, (patch["label"] == 0) & (patch["image"] > 0.02)
        if inside.sum() > 100 and outside.sum() > 100:  # The liver stays the brighter part, by 10 of 100.
            assert patch["image"][inside].mean() > patch["image"][outside].mean() - 0.02
    distinct = {patch["image"].numpy().tobytes() for patch in patches}
    assert len(distinct) > 30


@pytest.mark.parametrize("augmentation", ["scan", "blur_rotate_flip"])
def test_corners_that_are_turned_in_are_reflected_and_not_annotated(case: Case, augmentation: str) -> None:
    """The image is constant, also in the corners that rotation fills; only the label tells them apart."""
    nibabel.save(nibabel.Nifti1Image(np.full((20, 18, 6), 90, np.float32), np.diag([-1.0, 1, 2, 1])), case["image"])
    settings = TRAINING.model_copy(update={"augmentation": augmentation, "patch_size": (20, 18, 6)})
    turned_in = 0

    for seed in range(5):
        for patch in patches_of(case, seed, settings):
            outside = patch["label"] == UNANNOTATED
            turned_in += int(outside.sum())
            # With `scan` its brightness and noise change equally everywhere.
            inside = patch["image"][~outside]
            assert outside.sum() < 50 or (patch["image"][outside].mean() - inside.mean()).abs() < 0.03
            assert patch["image"].min() > 0.4

    assert turned_in > 100


def test_blur_rotation_and_flips_stay_within_slices(case: Case) -> None:
    """Each slice of the image has one value and keeps it up to its border, as no other slice is mixed in."""
    slices = np.broadcast_to(np.arange(10.0, 70.0, 10.0), (20, 18, 6)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(slices, np.diag([-1.0, 1, 2, 1])), case["image"])
    settings = TRAINING.model_copy(update={"augmentation": "blur_rotate_flip", "patch_size": (20, 18, 6)})

    for patch in patches_of(case, 0, settings):
        expected = torch.arange(0.1, 0.7, 0.1).expand_as(patch["image"][0])
        torch.testing.assert_close(patch["image"][0], expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("augmentation", ["scan", "blur_rotate_flip"])
def test_a_patch_of_one_slice_is_turned_in_its_plane_and_keeps_its_label(case: Case, augmentation: str) -> None:
    """Turned out of its plane by 11 degrees, it would keep the five or six voxels beside its axis."""
    settings = TRAINING.model_copy(
        update={"augmentation": augmentation, "patch_size": (20, 18, 1), "patches_per_volume": 20}
    )

    patches = patches_of(case, 0, settings)

    assert min(float((patch["label"] != UNANNOTATED).float().mean()) for patch in patches) > 0.7


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS))
def test_patches_of_one_slice_are_changed_like_any(case: Case, augmentation: str) -> None:
    settings = TRAINING.model_copy(
        update={"augmentation": augmentation, "patch_size": (16, 16, 1), "patches_per_volume": 20}
    )

    for patch in patches_of(case, 0, settings):
        assert patch["image"].shape == (1, 16, 16, 1)
        assert torch.isfinite(patch["image"]).all()
        assert patch["image"].max() > 0.2
        assert (patch["label"] >= 0).any()


def partial(case: Case, *slices: int, axis: int = 2) -> Case:
    return {**case, "slices": list(slices), "slice_axis": axis}


def test_only_the_annotated_slices_of_a_case_are_annotated(case: Case) -> None:
    """Axis 0 of the file runs against RAS: slice 15 is the fifth from the other end."""
    loaded = LoadCase(PREPROCESSING, LABELS)(partial(case, 15, 2, axis=0))

    assert loaded["annotated"].dtype == torch.bool
    assert loaded["annotated"].shape == loaded["image"].shape
    assert loaded["annotated"].any(dim=3).any(dim=2)[0].nonzero().flatten().tolist() == [4, 17]
    assert loaded["annotated"][0, [4, 17]].all()
    assert LoadCase(PREPROCESSING, LABELS)(case)["annotated"].all()


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ([3, 6], r"label\.nii\.gz: slice 6 of 6 is recorded as annotated, expected one or more from 0 to 5"),
        ([-1], r"slice -1 of 6"),
        ([], "no slice of 6"),
    ],
)
def test_slices_that_the_image_has_not_are_refused(case: Case, slices: list[int], expected: str) -> None:
    with pytest.raises(InvalidInputError, match=expected):
        LoadCase(PREPROCESSING, LABELS)(partial(case, *slices))


def test_every_patch_holds_something_annotated_and_the_first_foreground(case: Case) -> None:
    """Patches of two slices; only slice 1, which has liver, and slice 5, which has none, are annotated."""
    settings = TRAINING.model_copy(update={"patch_size": (4, 4, 2), "patches_per_volume": 3})
    transforms = training_transforms(LoadCase(PREPROCESSING, LABELS), settings, seed=0)

    drawn = [transforms(partial(case, 1, 5)) for _ in range(60)]

    for patches in drawn:
        assert all((patch["label"] != UNANNOTATED).any() for patch in patches)
        assert (patches[0]["label"] > 0).any()
        # At most one slice of two: the other is not annotated or does not exist.
        assert all((patch["label"] == UNANNOTATED).sum() == 16 for patch in patches)
    others = [patch for patches in drawn for patch in patches[1:]]
    without = np.mean([not (patch["label"] > 0).any() for patch in others])
    # Half of them are drawn around background, and some of these hold liver all the same.
    assert 0.1 < without < 0.6


def test_without_annotated_foreground_patches_are_drawn_around_background(case: Case) -> None:
    settings = TRAINING.model_copy(update={"patch_size": (4, 4, 2)})

    patches = patches_of(partial(case, 5), 0, settings)

    assert all(set(patch["label"].unique().tolist()) == {UNANNOTATED, 0} for patch in patches)


@pytest.mark.parametrize(
    ("kind", "loss", "augmentation"),
    [
        ("unet", "dice_ce", "scan"),
        ("unet", "dice", "none"),
        ("unet2d", "bce", "blur_rotate_flip"),
        ("anisotropic_unet", "partial_dice", "scan"),
    ],
)
def test_labels_on_slices_that_are_not_annotated_change_no_bit_of_the_gradient(
    case: Case, kind: str, loss: str, augmentation: str
) -> None:
    """The path runs from the files through transforms, network and loss, with resampling to coarser slices."""
    preprocessing = PREPROCESSING.model_copy(update={"spacing_mm": (1.0, 1.0, 3.0), "slices_last": True})
    training = TRAINING.model_copy(update={"augmentation": augmentation, "patches_per_volume": 2})
    network = NetworkSettings(kind=kind, channels=(4, 8), strides=(2,), residual_units=0, dropout=0.3)
    gradients = []
    for other in (0, 1, 2):
        header = nibabel.load(case["label"])
        label = np.asarray(header.dataobj).copy()
        label[..., [0, 1, 2, 4]] = other
        nibabel.save(nibabel.Nifti1Image(label, header.affine), case["label"])
        gradients.append(gradient_of(partial(case, 3, 5), preprocessing, training, network, build_loss(loss)))

    assert all(torch.equal(gradients[0], gradient) for gradient in gradients)
    assert gradients[0].any()


def gradient_of(
    case: Case,
    preprocessing: PreprocessingSettings,
    training: TrainingSettings,
    settings: NetworkSettings,
    loss: torch.nn.Module,
) -> torch.Tensor:
    """Return the gradient of one step as one vector, with the same random numbers each time."""
    patches = training_transforms(LoadCase(preprocessing, LABELS), training, seed=4)(case)
    images, labels = (torch.stack([patch[key] for patch in patches]) for key in ("image", "label"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(settings, classes=3)
        MarkedLabelLoss(loss)(network(images), labels).backward()
    return torch.cat([parameter.grad.flatten() for parameter in network.parameters()])


def test_only_the_random_transforms_run_again_in_each_epoch(case: Case) -> None:
    """Files are read once when the dataset is made, and may be removed afterwards."""
    dataset = CacheDataset([case], training_transforms(LoadCase(PREPROCESSING, LABELS), TRAINING, 0), progress=False)
    Path(case["image"]).unlink()

    assert len(dataset[0]) == 4


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_recipe_may_say_how_many_patches_lie_around_foreground(case: Case, share: float) -> None:
    """Foreground is 257 of 2,160 voxels, and every patch holds the voxel that it was drawn around."""
    settings = TRAINING.model_copy(
        update={"foreground_share": share, "patch_size": (1, 1, 1), "patches_per_volume": 50}
    )

    drawn = torch.cat([patch["label"].flatten() for patch in patches_of(case, 0, settings)])

    assert len(drawn) == 50
    assert bool((drawn > 0).all()) == (share == 1.0)
    assert bool((drawn == 0).all()) == (share == 0.0)


def test_ignored_voxels_are_not_annotated_and_structures_that_overlap_are_parts(case: Case) -> None:
    plain = LoadCase(PREPROCESSING, LABELS)(case)
    loaded = LoadCase(PREPROCESSING, parse_labels(["liver=1+2", "tumour=2"], "test"))(case)
    assert torch.equal(loaded["label"], plain["label"])
    assert loaded["annotated"].all()
    ignoring = LoadCase(PREPROCESSING, parse_labels(["liver=2", "ignore=1"], "test"))(case)
    assert torch.equal(ignoring["annotated"], plain["label"] != 1)
    assert torch.equal(ignoring["label"], (plain["label"] == 2).to(ignoring["label"].dtype))


def test_ignored_voxels_stay_ignored_on_annotated_slices(case: Case) -> None:
    slices: Case = {**case, "slices": [1, 3], "slice_axis": 2}
    plain = LoadCase(PREPROCESSING, LABELS)(slices)
    ignoring = LoadCase(PREPROCESSING, parse_labels(["liver=2", "ignore=1"], "test"))(slices)
    assert torch.equal(ignoring["annotated"], plain["annotated"] & (plain["label"] != 1))


def test_a_label_that_is_ignored_as_a_whole_is_refused(case: Case, tmp_path: Path) -> None:
    nibabel.save(
        nibabel.Nifti1Image(np.full((20, 18, 6), 2, np.uint8), np.diag([-1, 1, 2, 1])), tmp_path / "label.nii.gz"
    )
    with pytest.raises(InvalidInputError, match=r"label\.nii\.gz: all its voxels are ignored"):
        LoadCase(PREPROCESSING, parse_labels(["liver", "ignore=2"], "test"))(case)
