"""From annotated cases to training patches: one deterministic step, which is cached, then random ones."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypedDict

from monai.transforms import (
    Compose,
    RandAffined,
    RandCropByLabelClassesd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
    SpatialPadd,
    Transform,
)
from monai.utils import convert_to_tensor
from torch import Tensor

from activelabel.data.labels import check_label
from activelabel.data.preprocessing import prepare_image, prepare_label
from activelabel.data.volumes import read_volume
from activelabel.recipes import PreprocessingSettings, TrainingSettings

KEYS = ("image", "label")


class Case(TypedDict):
    """An annotated case: the files of its image and of its label, whose values are those of the app."""

    image: str
    label: str


class LoadCase(Transform):
    """A `Case` as the network sees it: image float32 and label, both (1, *S). Deterministic: MONAI caches it."""

    def __init__(self, preprocessing: PreprocessingSettings, labels: Sequence[str]) -> None:
        self._preprocessing = preprocessing
        self.labels = tuple(labels)

    def __call__(self, case: Case) -> dict[Hashable, Tensor]:
        """Read, check and prepare both files.

        Raises:
            InvalidInputError: one of them cannot be read, or the label does not belong to the image.
        """
        volume = read_volume(case["image"])
        label = check_label(case["label"], volume.grid, self.labels)
        return {
            "image": prepare_image(volume, self._preprocessing).tensor,
            "label": prepare_label(label.array, volume.grid, self._preprocessing),
        }


class Detach(Transform):
    """Patches as plain tensors: where they were cut from is of no use to the network, and costs time to collate."""

    def __call__(self, patch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The image and the label of `patch`, without MONAI's metadata."""
        return {key: convert_to_tensor(patch[key], track_meta=False).contiguous() for key in KEYS}


def training_transforms(load: LoadCase, settings: TrainingSettings, seed: int) -> Compose:
    """From a `Case` to `patches_per_volume` patches, drawn from `seed`.

    Each lies around a voxel of a class that is drawn first, background among them, so that a small organ is seen as
    often as a large one. Images smaller than a patch are padded with 0, as they are for prediction. Nothing is
    mirrored: left and right are different in a patient, and prepared images all lie the same way.
    """
    classes = len(load.labels) + 1
    steps = [
        load,
        SpatialPadd(KEYS, spatial_size=settings.patch_size),
        RandCropByLabelClassesd(
            KEYS,
            label_key="label",
            spatial_size=settings.patch_size,
            num_classes=classes,
            num_samples=settings.patches_per_volume,
            warn=False,  # A class that is not in a case is no reason to warn.
        ),
        *(_augmentations() if settings.augment else ()),
        Detach(),
    ]
    transforms = Compose(steps)
    transforms.set_random_state(seed=seed)
    return transforms


def _augmentations() -> Sequence[Transform]:
    """What may differ between two scans: how the patient lies and how large she is, scanner gain and noise.

    Image intensities are about 0 to 1 (window) or -3 to 3 (z-score) here.
    """
    return (
        RandAffined(
            KEYS,
            prob=0.5,
            rotate_range=(0.2, 0.2, 0.2),  # radians, about 11 degrees
            scale_range=(0.1, 0.1, 0.1),
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        ),
        RandScaleIntensityd("image", factors=0.1, prob=0.5),
        RandShiftIntensityd("image", offsets=0.1, prob=0.5),
        RandGaussianNoised("image", prob=0.25, std=0.05),
    )
