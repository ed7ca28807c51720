"""Cases without foreground are trained on together with cases that have some."""

from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, Dataset

from activelabel.recipes import PreprocessingSettings, TrainingSettings
from activelabel.training.losses.by_name import UNANNOTATED, MarkedLabelLoss, build_loss
from activelabel.training.partners import PartneredCases, with_partners
from activelabel.training.transforms import Case, LoadCase, training_transforms

PREPROCESSING = PreprocessingSettings(intensity="window", window_hu=(0.0, 100.0))
TRAINING = TrainingSettings(
    epochs=1, batch_size=1, patch_size=(4, 4, 2), patches_per_volume=3, learning_rate=1e-3, augmentation="none"
)


@pytest.fixture
def make_cases(tmp_path: Path) -> Callable[[str], list[Case]]:
    """Make a case for each letter: all of its slices annotated (f: some foreground, e: empty), or slice 1 (F, E).

    Every voxel of image i is i hundredths. A partial case has foreground on slice 3 too, which is not annotated.
    """

    def make(kinds: str) -> list[Case]:
        cases: list[Case] = []
        for number, kind in enumerate(kinds):
            label = np.zeros((9, 9, 4), np.uint8)
            label[6:8, 2, 1] = kind in "fF"
            label[..., 3] = kind in "FE"
            image, drawn = (str(tmp_path / f"{name}_{number}.nii.gz") for name in ("image", "label"))
            nibabel.save(nibabel.Nifti1Image(np.full(label.shape, number, np.float32), np.eye(4)), image)
            nibabel.save(nibabel.Nifti1Image(label, np.eye(4)), drawn)
            cases.append({"image": image, "label": drawn, "slices": [1] if kind in "FE" else None, "slice_axis": 2})
        return cases

    return make


def patches_of(cases: list[Case]) -> CacheDataset:
    return CacheDataset(cases, training_transforms(LoadCase(PREPROCESSING, ("liver",)), TRAINING, 0), progress=False)


def epoch_of(dataset: Dataset, batch_size: int = 1, seed: int = 0) -> Iterator[dict[str, torch.Tensor]]:
    """Return the mini-batches of an epoch as the host loads them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield from DataLoader(dataset, num_workers=0, batch_size=batch_size)


def sources(batch: dict[str, torch.Tensor]) -> list[int]:
    """Return the number of the case of each patch of a batch."""
    return (batch["image"].flatten(1).amax(dim=1) * 100).round().int().tolist()


@pytest.mark.parametrize("kinds", ["feE", "EefFE", "eeeeF"])
def test_every_mini_batch_holds_foreground_and_all_but_one_patch_is_the_cases_own(
    make_cases: Callable[[str], list[Case]], kinds: str
) -> None:
    cases = PartneredCases(patches_of(make_cases(kinds)))
    drawn = [numbers for numbers, kind in enumerate(kinds) if kind in "fF"]

    for seed in range(10):
        batches = list(epoch_of(cases, seed=seed))
        for number, batch in enumerate(batches):
            assert (batch["label"] > 0).any()
            first, *others = sources(batch)
            assert others == [number] * 2
            assert first == number if number in drawn else first in drawn
        assert len(batches) == len(kinds)


def test_without_a_partner_an_empty_case_makes_a_batch_without_foreground(
    make_cases: Callable[[str], list[Case]],
) -> None:
    """The same list without partners shows what they prevent."""
    held = [bool((batch["label"] > 0).any()) for batch in epoch_of(patches_of(make_cases("feE")))]

    assert held == [True, False, False]


def test_every_case_with_foreground_is_a_partner_at_times(make_cases: Callable[[str], list[Case]]) -> None:
    cases = PartneredCases(patches_of(make_cases("feFf")))

    seen = {sources(list(epoch_of(cases, seed=seed))[1])[0] for seed in range(30)}

    assert seen == {0, 2, 3}


def test_the_seed_decides_who_is_the_partner_of_whom(make_cases: Callable[[str], list[Case]]) -> None:
    cases = make_cases("feFfEeee")
    first, again, other = (list(epoch_of(PartneredCases(patches_of(cases)), seed=seed)) for seed in (3, 3, 4))

    assert all(torch.equal(a["label"], b["label"]) for a, b in zip(first, again, strict=True))
    assert list(map(sources, first)) == list(map(sources, again)) != list(map(sources, other))


def test_without_any_foreground_cases_stay_alone_and_partners_are_looked_for_once(
    make_cases: Callable[[str], list[Case]],
) -> None:
    drawn = []

    class Counted(CacheDataset):
        def __getitem__(self, index: int) -> list[dict[str, torch.Tensor]]:
            drawn.append(index)
            return super().__getitem__(index)

    inner = Counted(make_cases("eEe"), patches_of([]).transform, progress=False)
    cases = PartneredCases(inner)

    for _ in range(2):
        assert [sources(batch) for batch in epoch_of(cases)] == [[number] * 3 for number in range(3)]
    # In the first epoch the first case looks at both others; no case looks again.
    assert sorted(drawn[:3]) == [0, 1, 2]
    assert drawn[3:] == [1, 2, 0, 1, 2]


def test_a_case_is_no_longer_taken_for_empty_when_its_foreground_is_seen() -> None:
    """A rotation may move a voxel in a corner out of its patch in one epoch and not in another."""
    visits = iter([0, 1])
    patches = PartneredCases(Dataset([None, None], lambda _: [{"label": torch.tensor([next(visits)])}]))

    assert patches[0] == [{"label": 1}]  # the patch of case 1
    visits = iter([1])
    assert patches[0] == [{"label": 1}]  # its own patch: no partner is asked


def test_a_false_positive_on_an_empty_slice_is_suppressed_with_partial_dice(
    make_cases: Callable[[str], list[Case]],
) -> None:
    """By hand: 1 - 2Σyp/(Σy + Σp), p 1/2 everywhere: a voxel with y = 0 costs 2Σyp/(Σy + Σp)² · p(1 - p) a logit."""
    inner = patches_of(make_cases("fE"))
    loss = MarkedLabelLoss(build_loss("partial_dice"))
    gradients = {}
    for name, dataset in (("alone", inner), ("with a partner", PartneredCases(inner))):
        batch = list(epoch_of(dataset))[1]
        logits = torch.zeros(3, 2, 4, 4, 2, requires_grad=True)
        loss(logits, batch["label"]).backward()
        gradients[name] = logits.grad[1:, 1]  # of both patches of the empty case

    labels = batch["label"]
    assert set(labels[1:].unique().tolist()) == {UNANNOTATED, 0}
    foreground, annotated = int((labels > 0).sum()), int((labels >= 0).sum())
    expected = 2 * foreground / 2 / (foreground + annotated / 2) ** 2 / 4
    assert not gradients["alone"].any()
    asked = labels[1:, 0] == 0
    torch.testing.assert_close(gradients["with a partner"][asked], torch.full((int(asked.sum()),), expected))
    assert not gradients["with a partner"][~asked].any()


@pytest.mark.parametrize(
    ("settings", "partnered"),
    [({}, True), ({"patches_per_volume": 1}, False), ({"foreground_share": 0.5}, False)],
)
def test_partners_are_for_recipes_of_which_one_patch_of_several_holds_foreground(
    make_cases: Callable[[str], list[Case]], settings: dict[str, float], partnered: bool
) -> None:
    cases = patches_of(make_cases("fe"))

    assert isinstance(with_partners(cases, TRAINING.model_copy(update=settings)), PartneredCases) == partnered
