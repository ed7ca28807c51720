"""Preparation of an image for the network's grid and range, and the way back to the image's own grid."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import NormalizeIntensity, Orientation, ScaleIntensityRange, Spacing, SpatialResample
from torch import Tensor

from activelabel.data.grids import Grid, axis_order
from activelabel.data.intensities import is_hounsfield, spread_sample
from activelabel.data.labels.arrays import LabelArray, smallest_type
from activelabel.data.labels.label_map import LabelMap
from activelabel.data.slices import PLANES, plane_name, slice_axis
from activelabel.data.volumes import Volume
from activelabel.errors import InvalidInputError
from activelabel.out_of_memory import is_out_of_memory
from activelabel.recipes import PreprocessingSettings
from activelabel.recipes.sections import Intensity

logger = logging.getLogger(__name__)

MOST_VOXELS = 2**29
"""No image is resampled to more: 2 GiB in single precision, a cube of 812 voxels a side. A whole-body CT is less."""
OUTLIER_PERCENT = 0.1
OUTLIER_RANGE = 0.5
"""A z-scored image is clipped at this share of its range beyond the range's ends, the percentiles `OUTLIER_PERCENT` and
100 minus that: a hot voxel is no tissue."""

_AXIS_ENDS = (("L", "R"), ("P", "A"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image as the network sees it: `tensor` float32 (C, *S) on `grid`, and the grid of the `original`."""

    tensor: Tensor
    grid: Grid
    original: Grid


def prepare_image(volume: Volume, settings: PreprocessingSettings) -> PreparedImage:
    """Bring the intensities of `volume` into the network's range, its axes into order, its voxels to `spacing_mm`.

    Intensities come first, on the image's own voxels, so that they do not depend on the grid. Then the axes are brought
    exactly into the wanted orientation, with the axis of the slices last if the settings say so. If the settings name a
    spacing, trilinear interpolation follows; spacings belong to the axes in that order.

    A project sets once for all images whether they, or each of their channels, are windowed or z-scored. If it is not
    set (`auto`), the channel itself decides, see `data.intensities`.

    Raises:
        InvalidInputError: resampled, it would be larger than `MOST_VOXELS`, or thinner than a voxel; or it has not as
            many channels as the settings have intensities.
    """
    check_prepared_size(volume.grid, settings, Path(volume.path).name)
    channels = volume.channels
    kinds = settings.intensities(len(channels))
    if len(kinds) != len(channels):
        raise InvalidInputError(
            f"{Path(volume.path).name}: the image has {len(channels)} channels, expected {len(kinds)}, one for each of "
            f"preprocessing.intensity ({', '.join(kinds)}): name the channels of the recipe as those of the images"
        )
    pairs = zip(channels, kinds, strict=True)
    scaled = [_scale(torch.from_numpy(channel)[None], kind, settings.window_hu) for channel, kind in pairs]
    intensities = scaled[0] if len(scaled) == 1 else torch.cat(scaled)
    tensor, grid = _to_network(intensities, volume.grid, settings, mode="bilinear")
    return PreparedImage(tensor, grid, volume.grid)


def prepare_label(label: LabelArray, grid: Grid, settings: PreprocessingSettings) -> Tensor:
    """The label (W, H, D) of an image on `grid`, on the grid of its prepared image: uint8 or int32 (1, *S), nearest.

    Raises:
        InvalidInputError: as `prepare_image`.
    """
    check_prepared_size(grid, settings, "label")
    values = torch.from_numpy(label.astype(np.float32))[None]
    tensor, _ = _to_network(values, grid, settings, mode="nearest")
    return tensor.to(torch.uint8 if label.dtype == np.uint8 else torch.int32)


def restore_maps(maps: Tensor, image: PreparedImage) -> Tensor:
    """Maps of real numbers (C, *S), such as probabilities, on the original grid: float32 (C, W, H, D) on the CPU.

    Without resampling, exact. With it, trilinear: voxels outside the prepared image get the value at its border, and
    maps that sum to 1 still do (to rounding). A GPU on which a large CT has no room leaves it to the CPU.
    """
    order = axis_order(image.grid, image.original)
    if order is not None:  # The same voxels: no interpolation.
        return torch.stack([torch.from_numpy(order.apply(one.numpy()).copy()) for one in maps.cpu().float()])
    try:
        return _resampled_back(maps, image).cpu()
    except (MemoryError, RuntimeError) as error:
        if maps.device.type == "cpu" or not is_out_of_memory(error, maps.device):
            raise
    logger.warning("%s has too little memory to resample maps to %s: the CPU does", maps.device, image.original.shape)
    return _resampled_back(maps.cpu(), image)


def _resampled_back(maps: Tensor, image: PreparedImage) -> Tensor:
    resampled = SpatialResample(mode="bilinear", padding_mode="border", dtype=torch.float32)(
        _with_affine(maps.float(), image.grid),
        dst_affine=torch.from_numpy(image.original.affine_ras),
        spatial_size=image.original.shape,
    )
    return resampled.as_tensor()


def restore_most_probable(probabilities: Tensor, image: PreparedImage) -> LabelArray:
    """The most probable class of each voxel of the original: (C, *S) gives (W, H, D); of equal ones the first.

    It works class by class: all classes of a large CT at its own resolution would not fit into memory at once.
    """
    best = restore_maps(probabilities[:1], image)[0]
    classes = torch.zeros(best.shape, dtype=torch.int16)
    for value in range(1, len(probabilities)):
        restored = restore_maps(probabilities[value : value + 1], image)[0]
        classes[restored > best] = value
        best = torch.maximum(best, restored)
    return smallest_type(classes.numpy().astype(np.uint16), highest=len(probabilities) - 1)


def restore_label(probabilities: Tensor, image: PreparedImage, labels: LabelMap) -> LabelArray:
    """The label (W, H, D) of the original that a model draws, with the values of the label map.

    Structures that exclude each other: the most probable one of each voxel. Structures that overlap: each where its
    probability is above one half, painted as `LabelMap.paint` says.

    Args:
        probabilities: (1 + structures, *S), background first.
        image: the prepared image.
        labels: the label map.
    """
    if not labels.overlaps:
        values = labels.value_of_class(restore_most_probable(probabilities, image))
    else:
        values = labels.paint([restore_maps(one[None], image)[0].numpy() > 0.5 for one in probabilities[1:]])
    return smallest_type(values, highest=labels.highest)


def is_ct(voxels: Tensor) -> bool:
    """Whether an image looks like Hounsfield units by its own intensities; see `data.intensities`."""
    return is_hounsfield(voxels.numpy())


def check_prepared_size(grid: Grid, settings: PreprocessingSettings, name: str) -> None:
    """Check that an image on `grid` can be brought to the spacing of the settings, without allocating it.

    Raises:
        InvalidInputError: it would be larger than `MOST_VOXELS`, or thinner than a voxel; the line gives its spacing.
    """
    if settings.spacing_mm is None:
        return
    codes, spacing_mm = _axis_codes(grid, settings), settings.spacing_mm
    ends = (_AXIS_ENDS[PLANES.index(plane_name(grid, axis))] for axis in range(3))
    wanted_mm = (spacing_mm[next(axis for axis in range(3) if codes[axis] in pair)] for pair in ends)
    steps = [own / wanted for own, wanted in zip(grid.spacing_mm, wanted_mm, strict=True)]
    sizes = [size * step for size, step in zip(grid.shape, steps, strict=True)]
    spacing_text = f"{name}: its voxels are {' x '.join(f'{step:.4g}' for step in grid.spacing_mm)} mm"
    advice = "check the spacing in its header, and export it again"
    if np.prod(sizes, dtype=np.float64) > MOST_VOXELS:
        raise InvalidInputError(
            f"{spacing_text}, so that resampled to {' x '.join(f'{step:g}' for step in spacing_mm)} mm it would be "
            f"{np.prod(sizes, dtype=np.float64):.3g} voxels, expected at most {MOST_VOXELS:.3g}: {advice}"
        )
    if min(sizes) < 0.5:
        raise InvalidInputError(f"{spacing_text}, so that resampled it would be thinner than a voxel: {advice}")


def _scale(voxels: Tensor, intensity: Intensity, window_hu: tuple[float, float]) -> Tensor:
    """A channel (1, *S) in the network's range.

    Window: `window_hu` to 0..1, clipped. Z-score: over the voxels that are not 0, which stay 0.

    Zero is the background of MR images whose head or body was cut out, and should not move their mean. A constant image
    becomes 0. Outliers are clipped before z-scoring, see `OUTLIER_RANGE`.
    """
    if intensity == "window" or (intensity == "auto" and is_ct(voxels)):
        low, high = window_hu
        return torch.as_tensor(ScaleIntensityRange(a_min=low, a_max=high, b_min=0.0, b_max=1.0, clip=True)(voxels))
    return torch.as_tensor(NormalizeIntensity(nonzero=True)(_without_outliers(voxels)))


def _without_outliers(voxels: Tensor) -> Tensor:
    """A copy whose non-zero voxels are clipped to their usual range and a share of it beyond."""
    inside = voxels != 0
    if not inside.any():
        return voxels.clone()
    sample = spread_sample(voxels[inside].numpy())
    low, high = np.percentile(sample, [OUTLIER_PERCENT, 100 - OUTLIER_PERCENT])
    beyond = OUTLIER_RANGE * (high - low)
    return torch.where(inside, voxels.clamp(low - beyond, high + beyond), voxels)


def _to_network(voxels: Tensor, grid: Grid, settings: PreprocessingSettings, mode: str) -> tuple[Tensor, Grid]:
    image = _with_affine(voxels, grid)
    image = Orientation(axcodes=_axis_codes(grid, settings), labels=_AXIS_ENDS)(image)
    if settings.spacing_mm is not None:
        image = Spacing(pixdim=settings.spacing_mm, mode=mode, padding_mode="border", dtype=torch.float32)(image)
    width, height, depth = image.shape[1:]
    return image.as_tensor().contiguous(), Grid((width, height, depth), image.affine.double().numpy())


def _axis_codes(grid: Grid, settings: PreprocessingSettings) -> str:
    """The directions of the prepared axes, in their order: `RAS`, or `ASR` with sagittal slices last."""
    if not settings.slices_last:
        return settings.orientation
    across = PLANES.index(plane_name(grid, slice_axis(grid, settings.slice_plane)))
    codes = settings.orientation
    return codes[:across] + codes[across + 1 :] + codes[across]


def _with_affine(voxels: Tensor, grid: Grid) -> MetaTensor:
    return MetaTensor(voxels, meta={"affine": torch.from_numpy(grid.affine_ras)})
