import numpy as np
import pytest
import torch
from monai.transforms import Compose

from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.between_scans import RandomScanner


def test_intensity_changes_brightness_alone_so_that_views_compare_voxel_by_voxel() -> None:
    """Each view is another scaled and shifted copy with noise, in which no voxel moves. No label is needed."""
    patch = {"image": torch.randn(1, 12, 12, 12, generator=torch.Generator().manual_seed(0))}
    augment = Compose(AUGMENTATIONS["intensity"]())
    augment.set_random_state(seed=0)

    views = [np.asarray(augment(dict(patch))["image"]) for _ in range(20)]

    plain = patch["image"].numpy().ravel()
    for view in views:
        assert np.corrcoef(view.ravel(), plain)[0, 1] > 0.99
        slope, shift = np.polyfit(plain, view.ravel(), 1)
        assert 0.89 < slope < 1.11
        assert abs(shift) < 0.11
        assert not np.array_equal(view.ravel(), plain)
    assert any(not np.array_equal(views[0], view) for view in views[1:])


@pytest.mark.parametrize("augmentation", sorted(AUGMENTATIONS))
def test_augmentation_fills_in_no_values_from_outside_the_patch(augmentation: str) -> None:
    """All voxels are 10: zeros that rotation or blur mixed in would lower them, most of all at the border."""
    image, label = torch.full((1, 12, 10, 6), 10.0), torch.ones(1, 12, 10, 6, dtype=torch.int16)
    augment = Compose(AUGMENTATIONS[augmentation]())
    augment.set_random_state(seed=0)

    for _ in range(40):
        changed = augment({"image": image.clone(), "label": label.clone()})
        assert np.asarray(changed["image"]).min() > 8.5  # scaled by 0.9, shifted by 0.1, and noise of 0.05
        assert changed["image"].shape == image.shape


@pytest.mark.parametrize("name", ["scan", "intensity"])
def test_each_channel_has_a_gain_and_an_offset_of_its_own(name: str) -> None:
    patch = {"image": torch.ones(3, 8, 8, 8), "label": torch.ones(1, 8, 8, 8, dtype=torch.int16)}
    (scanner,) = (one for one in AUGMENTATIONS[name]() if isinstance(one, RandomScanner))
    scanner._noise_prob = 0.0
    differed = []
    for seed in range(8):
        scanner.set_random_state(seed=seed)
        means = scanner({key: value.clone() for key, value in patch.items()})["image"].flatten(1).mean(dim=1)
        differed.append(len(set(means.tolist())) == 3)
    assert any(differed) if name == "scan" else all(differed)
