from collections.abc import Mapping

import numpy as np
import pytest
import torch

from activelabel.training.patches import PadToPatch, RatioPatches

SIZE = (3, 3, 3)


def a_case(foreground: int, background: int) -> dict[str, torch.Tensor]:
    """Return one foreground voxel of `foreground` and a distant box of `background`; the rest is not annotated.

    The value of each voxel of the image is its index.
    """
    label = torch.zeros(1, 12, 12, 12, dtype=torch.int16)
    label[0, 2, 2, 2] = foreground
    label[0, 8:11, 8:11, 8:11] = background
    return {"image": torch.arange(12**3, dtype=torch.float32).reshape(label.shape), "label": label}


def holds(patch: Mapping[str, torch.Tensor], value: int) -> bool:
    return bool((patch["label"] == value).any())


def drawn(share: float, case: dict[str, torch.Tensor], count: int = 1000) -> list[dict[str, torch.Tensor]]:
    patches = RatioPatches(SIZE, count, share)
    patches.set_random_state(seed=0)
    return patches(case)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_the_share_of_patches_around_foreground(share: float) -> None:
    patches = drawn(share, a_case(foreground=3, background=1))

    around_foreground = sum(holds(patch, 3) for patch in patches)
    assert sum(holds(patch, 1) for patch in patches) == 1000 - around_foreground
    # Five standard deviations of a binomial: 0 at both ends, where no other number is allowed.
    assert abs(around_foreground - 1000 * share) <= 5 * (1000 * share * (1 - share)) ** 0.5


@pytest.mark.parametrize(("foreground", "background", "found"), [(2, 0, 2), (0, 1, 1)])
def test_a_case_without_foreground_or_background_gives_patches_of_the_other(
    foreground: int, background: int, found: int
) -> None:
    patches = drawn(0.5, a_case(foreground, background), count=20)

    assert all(holds(patch, found) for patch in patches)


def test_a_patch_is_the_same_box_of_image_and_label_also_at_the_border() -> None:
    case = a_case(foreground=2, background=0)
    case["label"] = case["label"].roll((-2, -2, -2), dims=(1, 2, 3))  # into the corner

    (patch,) = drawn(1.0, case, count=1)

    torch.testing.assert_close(patch["image"], case["image"][:, :3, :3, :3])
    torch.testing.assert_close(patch["label"], case["label"][:, :3, :3, :3])


def test_a_case_without_any_annotation_is_refused() -> None:
    with pytest.raises(ValueError, match="annotated somewhere"):
        drawn(0.5, a_case(0, 0))


def test_the_seed_fixes_the_patches() -> None:
    case = a_case(2, 1)
    for one, other in zip(drawn(0.5, case, 10), drawn(0.5, case, 10), strict=True):
        torch.testing.assert_close(one["image"], other["image"])


def test_a_case_smaller_than_a_patch_is_reflected_and_not_annotated_there() -> None:
    """The patch may be several times the case: 2 voxels in 9 along one axis, 3 in 4 along another."""
    image = torch.arange(1.0, 13.0).view(1, 2, 3, 2)
    label = torch.full((1, 2, 3, 2), 2, dtype=torch.int16)
    values = torch.tensor([2])

    padded = PadToPatch((9, 4, 2))({"image": image, "label": label, "values": values})

    pairs = [(0, 0), (3, 4), (0, 1), (0, 0)]
    np.testing.assert_array_equal(padded["image"].numpy(), np.pad(image.numpy(), pairs, mode="reflect"))
    np.testing.assert_array_equal(padded["label"].numpy(), np.pad(label.numpy(), pairs))
    assert padded["label"].dtype == torch.int16
    assert padded["values"] is values
