"""Two views of patches of unannotated volumes, around their noisy labels (nath2022, 3.3)."""

from collections.abc import Mapping
from typing import TypedDict

import torch
from monai.transforms import Compose, CopyItemsd, Transform
from monai.utils import convert_to_tensor
from torch import Tensor

from activelabel.data.files.image_files import ImageJson
from activelabel.data.volumes import read_volume
from activelabel.prediction.prepared.images import PreparedImages
from activelabel.recipes import PreprocessingSettings, SemiSupervisedSettings, TrainingSettings
from activelabel.training.augmentation import AUGMENTATIONS
from activelabel.training.patches import PadToPatch, RatioPatches
from activelabel.training.voxel_index import ListVoxels

PLAIN, AUGMENTED = VIEWS = ("plain", "augmented")


class NoisyCase(TypedDict):
    """An unannotated case: the files of its image and of its noisy label, which lies on the grid of the *prepared*
    image, as the network that made it saw it.
    """

    image: ImageJson
    noisy_label: str


class LoadNoisyCase(Transform):
    """Load a `NoisyCase` as `RatioPatches` takes it: image float32 (C, *S) and label int16 (1, *S).

    The label is shifted by one, like an annotator's label: 1 is background. Deterministic: MONAI caches it.
    """

    def __init__(self, preprocessing: PreprocessingSettings, kept: PreparedImages | None = None) -> None:
        """`kept`: prepared images that need not be read again; by default, each is read."""
        self._preprocessing = preprocessing
        self._kept = kept or PreparedImages(None)

    def __call__(self, case: NoisyCase) -> dict[str, Tensor]:
        """Read and prepare the image, and read its label.

        Raises:
            InvalidInputError: the image or the label cannot be read.
            ValueError: the label is not on the grid of the prepared image.
        """
        image = self._kept.get(case["image"], self._preprocessing).tensor
        label = torch.from_numpy(read_volume(case["noisy_label"]).array).to(torch.int16)[None] + 1
        if label.shape[1:] != image.shape[1:]:
            shapes = f"expected {tuple(image.shape[1:])} as the prepared image, got {tuple(label.shape[1:])}"
            raise ValueError(f"noisy label: {shapes}")
        return {"image": image, "label": label}


class TakeViews(Transform):
    """Both views of a patch as plain tensors, without the noisy label, which only placed the patch."""

    def __call__(self, patch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """From `plain` and `image`, the augmented view, to `plain` and `augmented`."""
        plain, augmented = (convert_to_tensor(patch[key], track_meta=False).contiguous() for key in (PLAIN, "image"))
        return {PLAIN: plain, AUGMENTED: augmented}


def two_view_transforms(
    load: LoadNoisyCase, training: TrainingSettings, settings: SemiSupervisedSettings, seed: int
) -> Compose:
    """From a `NoisyCase` to two views of each of as many patches as an annotated case gives: float32 (1, *S) each.

    A patch lies around the noisy label's foreground with the probability `settings.foreground_share`. The plain view is
    the patch; the augmented view has the same voxels after a random augmentation that does not move them.
    """
    steps = [*noisy_preparation(load, training).transforms, *view_transforms(training, settings, seed).transforms]
    transforms = Compose(steps)
    transforms.set_random_state(seed=seed)
    return transforms


def noisy_preparation(load: LoadNoisyCase, training: TrainingSettings) -> Compose:
    """The part of `two_view_transforms` without randomness, whose result may be kept."""
    return Compose([load, PadToPatch(training.patch_size), ListVoxels()])


def view_transforms(training: TrainingSettings, settings: SemiSupervisedSettings, seed: int) -> Compose:
    """The part of `two_view_transforms` that draws patches from a prepared case."""
    steps = [
        RatioPatches(training.patch_size, training.patches_per_volume, settings.foreground_share),
        CopyItemsd("image", names=PLAIN),
        *AUGMENTATIONS[settings.augmentation](),
        TakeViews(),
    ]
    transforms = Compose(steps)
    transforms.set_random_state(seed=seed)
    return transforms
