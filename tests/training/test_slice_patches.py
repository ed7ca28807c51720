"""Mini-batches of slices: every annotated slice equally often, and no other slice."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset

from activelabel.recipes import PreprocessingSettings, TrainingSettings, load_recipe
from activelabel.training.losses.by_name import UNANNOTATED
from activelabel.training.transforms import Case, LoadCase, training_items, training_transforms

PREPROCESSING = PreprocessingSettings(intensity="window", window_hu=(0.0, 1000.0), slices_last=True)
SLICES, FOREGROUND = 8, 3


def settings(patch_size: tuple[int, int, int], patches: int, batch_size: int = 1) -> TrainingSettings:
    return TrainingSettings(
        epochs=1,
        sampling="slices",
        batch_size=batch_size,
        patch_size=patch_size,
        patches_per_volume=patches,
        learning_rate=1e-3,
        augmentation="none",
    )


@pytest.fixture
def make_cases(tmp_path: Path) -> Callable[..., list[Case]]:
    """Make cases of 8 slices, each with the given annotated slices (None: all) and with foreground on slice 3.

    Every voxel of slice s of case c is 10 c + s, and its network axis is the file's first.
    """

    def make(*annotated: list[int] | None) -> list[Case]:
        cases: list[Case] = []
        for number, slices in enumerate(annotated):
            image = np.empty((SLICES, 6, 5), np.float32)
            image[:] = (10 * number + np.arange(SLICES))[:, None, None]
            label = np.zeros(image.shape, np.uint8)
            label[FOREGROUND, 2:4, 2] = 1
            files = [str(tmp_path / f"{name}_{number}.nii.gz") for name in ("image", "label")]
            affine = np.diag([4.0, 1.0, 1.0, 1.0])  # acquired along the first axis
            for array, file in zip((image, label), files, strict=True):
                nibabel.save(nibabel.Nifti1Image(array, affine), file)
            cases.append({"image": files[0], "label": files[1], "slices": slices, "slice_axis": 0})
        return cases

    return make


def epoch_of(cases: list[Case], training: TrainingSettings, seed: int = 0, cached: bool = True) -> Iterator[dict]:
    """Return the mini-batches of an epoch as the host loads them."""
    transforms = training_transforms(LoadCase(PREPROCESSING, ("liver",)), training, seed)
    dataset = CacheDataset(cases, transforms, progress=False) if cached else Dataset(cases, transforms)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        items = training_items(dataset, training, seed)
        yield from DataLoader(items, num_workers=0, batch_size=training.batch_size, shuffle=True)


def slices_of(batch: dict) -> list[int]:
    """Return 10 c + s of each patch of one slice."""
    return (batch["image"].flatten(1).amax(dim=1) * 1000).round().int().tolist()


@pytest.mark.parametrize("cached", [True, False])
def test_an_epoch_visits_each_annotated_slice_once_however_they_are_spread(
    make_cases: Callable[..., list[Case]], cached: bool
) -> None:
    """ma2024: one case wholly annotated, one on two slices, one on one: 11 slices, 4 a mini-batch."""
    batches = list(epoch_of(make_cases(None, [5, 2], [7]), settings((6, 5, 1), 1, batch_size=4), cached=cached))
    assert [len(batch["image"]) for batch in batches] == [4, 4, 3]
    seen = sorted(number for batch in batches for number in slices_of(batch))
    assert seen == [*range(8), 12, 15, 27]
    for batch in batches:
        assert batch["image"].shape[1:] == batch["label"].shape[1:] == (1, 6, 5, 1)
        for number, label in zip(slices_of(batch), batch["label"], strict=True):
            assert int(label.sum()) == (2 if number % 10 == FOREGROUND else 0)


def test_a_patch_reaches_beyond_its_slice_and_what_is_not_annotated_there_teaches_nothing(
    make_cases: Callable[..., list[Case]],
) -> None:
    (batch,) = epoch_of(make_cases([5]), settings((6, 5, 4), 1))
    assert batch["image"].shape == (1, 1, 6, 5, 4)
    annotated = (batch["label"] != UNANNOTATED).flatten(0, 3).all(dim=0)
    assert annotated.tolist() == [False, False, True, False]
    assert (batch["image"][0, 0, 0, 0] * 1000).round().tolist() == [3, 4, 5, 6]


def test_a_patch_beyond_a_small_case_is_reflected_and_not_annotated(make_cases: Callable[..., list[Case]]) -> None:
    (batch,) = epoch_of(make_cases([5]), settings((6, 7, 12), 1))
    assert (batch["image"][0, 0, 0, 0] * 1000).round().tolist() == [2, 1, 0, 1, 2, 3, 4, 5, 6, 7, 6, 5]
    annotated = (batch["label"] != UNANNOTATED)[0, 0]
    assert annotated.nonzero()[:, 2].unique().tolist() == [7]
    assert annotated[..., 7].all(dim=0).tolist() == [False, True, True, True, True, True, False]


def test_a_slice_smaller_than_a_patch_of_one_slice_is_reflected_too(make_cases: Callable[..., list[Case]]) -> None:
    batches = list(epoch_of(make_cases([5, 2]), settings((8, 7, 1), 1)))
    assert sorted(slices_of(batch) for batch in batches) == [[2], [5]]
    for batch in batches:
        assert batch["image"].amin().equal(batch["image"].amax())
        assert int((batch["label"] != UNANNOTATED).sum()) == 6 * 5


@pytest.mark.parametrize("annotated", [([0], [1, 2], [3, 7]), (None, [0], [0])])
def test_of_two_patches_one_holds_foreground_and_the_other_is_any_annotated_slice(
    make_cases: Callable[..., list[Case]], annotated: tuple[list[int] | None, ...]
) -> None:
    """chlebus2022, II.B: "at least one patch in a mini-batch contains liver pixels"."""
    cases, training = make_cases(*annotated), settings((6, 5, 1), 2)
    expected = sorted(10 * case + index for case, slices in enumerate(annotated) for index in slices or range(8))
    for seed in range(5):
        batches = list(epoch_of(cases, training, seed=seed))
        assert all((batch["label"][0] > 0).any() for batch in batches)
        assert sorted(slices_of(batch)[1] for batch in batches) == expected


def test_without_any_foreground_the_slices_are_learnt_alone(make_cases: Callable[..., list[Case]]) -> None:
    batches = list(epoch_of(make_cases([0, 1]), settings((6, 5, 1), 2)))
    assert sorted(slices_of(batch) for batch in batches) == [[0, 0], [1, 1]]


def test_foreground_is_drawn_from_all_its_slices_alike(make_cases: Callable[..., list[Case]]) -> None:
    cases, training = make_cases([3], [3], [3, 4, 5, 6]), settings((6, 5, 1), 2)
    drawn = Counter(slices_of(batch)[0] for seed in range(60) for batch in epoch_of(cases, training, seed=seed))
    assert set(drawn) == {3, 13, 23}
    assert min(drawn.values()) > 360 / 3 * 0.7


def test_a_slice_larger_than_the_patch_is_cut_around_one_of_its_voxels(make_cases: Callable[..., list[Case]]) -> None:
    for batch in epoch_of(make_cases([3, 4]), settings((2, 2, 1), 2)):
        assert batch["image"].shape == (2, 1, 2, 2, 1)
        assert (batch["label"][0] > 0).any()


def test_a_cached_case_is_not_changed_by_its_patches(make_cases: Callable[..., list[Case]]) -> None:
    training = settings((6, 5, 1), 1).model_copy(update={"augmentation": "intensity"})
    transforms = training_transforms(LoadCase(PREPROCESSING, ("liver",)), training, 0)
    cases = CacheDataset(make_cases([3, 4]), transforms, progress=False)
    before = cases[0]["image"].clone()
    items = training_items(cases, training, 0)
    first, again = items[0][0]["image"], items[0][0]["image"]
    assert not first.equal(again)
    assert cases[0]["image"].equal(before)
    assert before.shape == (1, 6, 5, 2), "of 8 slices the two that are annotated are kept"


def test_ma2024_learns_from_whole_slices_of_brats_32_at_a_time() -> None:
    training = load_recipe("ma2024").training
    assert (training.sampling, training.batch_size, training.patches_per_volume) == ("slices", 32, 1)
    assert training.patch_size == (240, 240, 1)
