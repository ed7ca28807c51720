"""Random changes to training patches, by name. Labels are shifted here (see `transforms`): 0 means "not annotated".

Each is built for patches of one slice (`flat`), which must not be turned out of their plane, or for others.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

from monai.config import NdarrayOrTensor
from monai.transforms import (
    RandAffined,
    RandFlipd,
    RandGaussianSmoothd,
    Transform,
)
from monai.utils import convert_to_tensor

from activelabel.data.reflection import reflect_to
from activelabel.training.between_scans import RandomPlace, RandomScanner
from activelabel.training.patches import KEYS

_TURNED_IN = ("reflection", "zeros")
"""The values beyond the ends of a patch: a reflection of the image, unannotated in the label. Zeros in the image would
be tissue after z-scoring."""

_MOST_BLUR = 1.5  # voxels
_BLUR_REACH = math.ceil(4 * _MOST_BLUR)
"""The reach of MONAI's Gaussian: four standard deviations."""


def _nothing(flat: bool = False) -> Sequence[Transform]:
    """No change."""
    return ()


def _between_scans(flat: bool = False) -> Sequence[Transform]:
    """Changes as between two scans: position and size of the patient, scanner gain and noise.

    Nothing is mirrored: left and right differ in a patient, and all prepared images have the same orientation. Each
    channel has its own gain and noise, as it was scanned by itself. Image intensities are about 0 to 1 (window) or -3
    to 3 (z-score) here. A flat patch stays in its plane: turned out of it, it would keep the label of a few voxels
    only.
    """
    return (RandomPlace(flat), RandomScanner())


def _blur_rotate_flip(flat: bool = False) -> Sequence[Transform]:
    """Gaussian blur, rotations and flips, all within slices along the last axis (ma2024, 3.1).

    The paper gives neither frequency nor strength; half of the patches each, up to 1.5 voxels and 15 degrees, are our
    choice.
    """
    return (
        RandFlipd(KEYS, prob=0.5, spatial_axis=0),
        RandFlipd(KEYS, prob=0.5, spatial_axis=1),
        RandAffined(
            KEYS,
            prob=0.5,
            rotate_range=(0.0, 0.0, 0.26),
            mode=("bilinear", "nearest"),
            padding_mode=_TURNED_IN,
        ),
        ReflectedBlur(prob=0.5, sigma=(0.25, _MOST_BLUR)),
    )


class ReflectedBlur(RandGaussianSmoothd):
    """Gaussian blur of the image within slices along the last axis, of a patch reflected at its ends.

    MONAI's own blur assumes zeros beyond the ends, and so draws a frame around each blurred patch.
    """

    def __init__(self, prob: float, sigma: tuple[float, float]) -> None:
        """`sigma` in voxels, drawn for each of the two axes of a slice."""
        super().__init__("image", prob=prob, sigma_x=sigma, sigma_y=sigma, sigma_z=(0.0, 0.0))

    def __call__(self, data: Mapping[Hashable, NdarrayOrTensor]) -> dict[Hashable, NdarrayOrTensor]:
        """The patch with its `image` (C, *S) blurred or not, and other entries unchanged."""
        image = convert_to_tensor(data["image"], track_meta=False)
        width, height, depth = image.shape[1:]
        wider = reflect_to(image, (width + 2 * _BLUR_REACH, height + 2 * _BLUR_REACH, depth))
        blurred = super().__call__({"image": wider})["image"]
        inner = slice(_BLUR_REACH, -_BLUR_REACH)
        return {**data, "image": blurred[:, inner, inner]}


def _intensity(flat: bool = False) -> Sequence[Transform]:
    """Shifted and scaled intensities and Gaussian noise, as nath2022 (4.1) names them; voxels stay where they are.

    Two views of a patch can then be compared voxel by voxel. The paper gives neither strength nor frequency: both are
    those of `scan`, but every patch is shifted and scaled, so that the second view always differs.
    """
    return (RandomScanner(prob=1.0, noise_prob=0.5),)


AUGMENTATIONS: Mapping[str, Callable[..., Sequence[Transform]]] = {
    "none": _nothing,
    "scan": _between_scans,
    "blur_rotate_flip": _blur_rotate_flip,
    "intensity": _intensity,
}
