"""Changes as between two scans, beside MONAI's affine transform with the same angles and sizes."""

import numpy as np
import pytest
import torch
from monai.transforms import Affine

from activelabel.training.between_scans import RandomPlace, RandomScanner, placed, rotation

SHAPE = (12, 10, 7)


@pytest.mark.parametrize("angles", [(0.2, 0.0, 0.0), (0.0, -0.15, 0.0), (0.0, 0.0, 0.1), (0.12, -0.2, 0.07)])
def test_a_patch_is_placed_as_monai_places_it(angles: tuple[float, float, float]) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, *SHAPE, generator=generator)
    label = torch.randint(1, 4, (1, *SHAPE), generator=generator, dtype=torch.int16)
    scales = (1.08, 0.93, 1.02)

    moved, nearest = placed(image, label, rotation(np.array(angles)) * np.array(scales))

    common = {"rotate_params": angles, "scale_params": scales, "image_only": True}
    theirs = Affine(padding_mode="reflection", mode="bilinear", **common)(image)
    torch.testing.assert_close(moved, torch.as_tensor(np.asarray(theirs)), atol=1e-4, rtol=0)
    labels = np.asarray(Affine(padding_mode="zeros", mode="nearest", **common)(label.float()))
    assert nearest.dtype is torch.int16
    # A voxel halfway between two may be either.
    assert (nearest.numpy() == labels).mean() > 0.99
    assert (nearest == 0).any(), "corners that the rotation brings in are not annotated"


def test_half_of_the_patches_are_moved_and_their_labels_with_them() -> None:
    """Image and label are the same numbers, so that they still agree where the label is known, in the middle."""
    values = torch.zeros(1, *SHAPE)
    values[:, 3:8, 2:7, 2:5] = 1
    place = RandomPlace()
    place.set_random_state(seed=0)
    moved = 0
    for _ in range(100):
        patch = place({"image": values.clone(), "label": values.to(torch.int16), "other": 3})
        assert patch["other"] == 3
        inside = patch["label"] == 1
        assert patch["image"][inside].min() > 0.12  # an eighth, where a voxel lies halfway between others
        moved += not torch.equal(patch["image"], values)
    assert 35 < moved < 65


def test_gain_offset_and_noise_are_as_frequent_and_as_large_as_said() -> None:
    scanner, plain = RandomScanner(), torch.linspace(-1, 1, 4000).view(1, 20, 20, 10)
    scanner.set_random_state(seed=0)
    fits, noises = [], []
    for _ in range(300):
        image = scanner({"image": plain})["image"]
        slope, offset = np.polyfit(plain.numpy().ravel(), image.numpy().ravel(), 1)
        fits.append((slope - 1, offset))
        noises.append(float((image - plain * slope - offset).std()))
    gains, offsets = np.abs(np.array(fits)).T
    for changes in (gains, offsets):
        assert 0.4 < (changes > 0.004).mean() < 0.6
        assert 0.08 < changes.max() < 0.105
    noisy = np.array(noises) > 1e-3
    assert 0.18 < noisy.mean() < 0.32
    assert 0.03 < max(noises) < 0.052


def test_the_seed_fixes_all_of_it() -> None:
    patch = {"image": torch.randn(1, *SHAPE), "label": torch.ones(1, *SHAPE, dtype=torch.int16)}
    outputs = []
    for _ in range(2):
        steps = RandomPlace(prob=1.0), RandomScanner(prob=1.0, noise_prob=1.0)
        for number, step in enumerate(steps):
            step.set_random_state(seed=number)
        outputs.append(steps[1](steps[0](patch))["image"])
    assert torch.equal(*outputs)


def test_each_channel_has_a_gain_and_an_offset_of_its_own() -> None:
    patch = {"image": torch.ones(3, 8, 8, 8), "label": torch.ones(1, 8, 8, 8, dtype=torch.int16)}
    scanner = RandomScanner(prob=1.0, noise_prob=0.0)
    for seed in range(8):
        scanner.set_random_state(seed=seed)
        channels = scanner(patch)["image"].flatten(1)
        assert len(set(channels[:, 0].tolist())) == 3
        assert torch.equal(channels, channels[:, :1].expand_as(channels))
        assert ((channels - 1).abs() <= 0.1 + 0.1 + 0.01).all()
