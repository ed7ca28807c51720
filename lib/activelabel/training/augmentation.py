"""Random changes to training patches, by name. Labels are shifted here (`transforms`), so that 0 is "not annotated"."""

from collections.abc import Callable, Mapping, Sequence

from monai.transforms import (
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    Transform,
)

from activelabel.training.patches import KEYS


def _nothing() -> Sequence[Transform]:
    return ()


def _between_scans() -> Sequence[Transform]:
    """What may differ between two scans: how the patient lies and how large she is, scanner gain and noise.

    Nothing is mirrored: left and right are different in a patient, and prepared images all lie the same way. Image
    intensities are about 0 to 1 (window) or -3 to 3 (z-score) here.
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


def _blur_rotate_flip() -> Sequence[Transform]:
    """Gaussian blur, rotations and flips, all within slices along the last axis (ma2024, 3.1).

    The paper says neither how often nor how much: half of the patches each, up to 1.5 voxels and 15 degrees, are ours.
    """
    return (
        RandFlipd(KEYS, prob=0.5, spatial_axis=0),
        RandFlipd(KEYS, prob=0.5, spatial_axis=1),
        RandAffined(
            KEYS,
            prob=0.5,
            rotate_range=(0.0, 0.0, 0.26),
            mode=("bilinear", "nearest"),
            padding_mode="zeros",
        ),
        RandGaussianSmoothd("image", prob=0.5, sigma_x=(0.25, 1.5), sigma_y=(0.25, 1.5), sigma_z=(0.0, 0.0)),
    )


def _intensity() -> Sequence[Transform]:
    """Shifted and scaled intensities and Gaussian noise, as nath2022 (4.1) names them; voxels stay where they are.

    Two views of a patch can then be compared voxel by voxel. How much and how often is not in the paper: as `scan`, but
    every patch is shifted and scaled, so that the second view always differs.
    """
    return (
        RandScaleIntensityd("image", factors=0.1, prob=1.0),
        RandShiftIntensityd("image", offsets=0.1, prob=1.0),
        RandGaussianNoised("image", prob=0.5, std=0.05),
    )


AUGMENTATIONS: Mapping[str, Callable[[], Sequence[Transform]]] = {
    "none": _nothing,
    "scan": _between_scans,
    "blur_rotate_flip": _blur_rotate_flip,
    "intensity": _intensity,
}
