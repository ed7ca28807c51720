"""Which voxels of a volume count for its score.

Each region is a function from the mean probabilities over the repeats, `(C, *S)`, to a bool map `(*S)`. ma2024 defines
its functions for one foreground class; the form for several is ours, and equals the paper's for `C` = 2. A voxel with
NaN probabilities is in no region but `everything` and, near predicted foreground, those that dilate it.
"""

import functools
import operator
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from activelabel.acquisition import overlapping
from activelabel.acquisition.exclusive import two_largest
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.recipes import RegionSettings


def everything(mean: Tensor) -> Tensor:
    """Every voxel: bool `(*S)`, all true."""
    return torch.ones(mean.shape[1:], dtype=torch.bool, device=mean.device)


def target(mean: Tensor, threshold: float) -> Tensor:
    """Voxels whose largest foreground probability is above `threshold` (ma2024, eq. 1)."""
    return mean[1:].amax(dim=0) > threshold


def boundary(mean: Tensor, width: float) -> Tensor:
    """Voxels near a decision boundary: p₁ − p₂ < 2·`width`, p₁ ≥ p₂ the two largest probabilities.

    For two classes this is |p − 0.5| < `width` (the meaning of ma2024, eq. 2, which is printed with the two symbols
    swapped).
    """
    largest, second = two_largest(mean)
    return largest - second < 2 * width


def predicted_foreground(mean: Tensor) -> Tensor:
    """Voxels where some foreground probability exceeds the background's: bool `(*S)`."""
    return mean[1:].amax(dim=0) > mean[0]


def dilated_foreground(mean: Tensor, kernel: int = 11) -> Tensor:
    """Voxels within a cube of `kernel` voxels a side around a voxel predicted as foreground (chlebus2022, II.D).

    Raises `ValueError` where `kernel` is not odd and positive.
    """
    if kernel < 1 or kernel % 2 == 0:
        raise ValueError(f"kernel must be an odd number of voxels, got {kernel}")
    dilated = predicted_foreground(mean).view(torch.uint8)
    for axis in range(dilated.ndim):  # a dilation by a cube equals dilations along each axis in turn
        dilated = _dilated_along(dilated, axis, kernel // 2)
    return dilated.view(torch.bool)


def _dilated_along(mask: Tensor, axis: int, reach: int) -> Tensor:
    """0 or 1 per voxel: 1 where a 1 is at most `reach` voxels away along `axis`.

    Each step shifts what is reached already, so that a few steps of bytes do what a pooling does value by value. A step
    goes no farther than from voxel to voxel of the mask: a longer one would need what is reached beyond its ends.
    """
    length, reached = mask.shape[axis], 0
    while reached < min(reach, length - 1):
        step = min(reached + 1, reach - reached, length - 1)
        left, before = length - step, mask
        mask = before.clone()
        mask.narrow(axis, step, left).bitwise_or_(before.narrow(axis, 0, left))
        mask.narrow(axis, 0, left).bitwise_or_(before.narrow(axis, step, left))
        reached += step
    return mask


def seen_voxels(shape: Sequence[int], kernel: int, device: torch.device | None = None) -> Tensor:
    """Voxels that a network judges by the image rather than by its padding: bool of `shape`, on `device` or the CPU.

    At least half of the cube of `kernel` voxels a side around such a voxel lies in the image. Where an axis of the
    image is shorter than the cube, the cube is cut to the axis. In the middle of a face a little more than half of the
    cube lies in the image, at an edge a quarter: the region leaves out edges and corners of the image.
    """
    sides = []
    for axis, size in enumerate(shape):
        place = torch.arange(size, device=device)
        inside = (place + kernel // 2).clamp_max(size - 1) - (place - kernel // 2).clamp_min(0) + 1
        sides.append((inside / min(kernel, size)).view([-1 if other == axis else 1 for other in range(len(shape))]))
    return functools.reduce(operator.mul, sides) >= 0.5


def predicted_object(mean: Tensor, kernel: int = 11) -> Tensor:
    """The object: `dilated_foreground` without voxels that a network sees mostly padding around (see `seen_voxels`).

    Its size follows the prediction, however much of the image surrounds it. Raises what `dilated_foreground` does.
    """
    return dilated_foreground(mean, kernel) & seen_voxels(mean.shape[1:], kernel, mean.device)


REGIONS: dict[str, Callable[[Tensor, RegionSettings], Tensor]] = {
    "everything": lambda mean, settings: everything(mean),
    "target": lambda mean, settings: target(mean, settings.target_threshold),
    "boundary": lambda mean, settings: boundary(mean, settings.boundary_width),
    "dilated_foreground": lambda mean, settings: dilated_foreground(mean, settings.dilation_kernel),
    "object": lambda mean, settings: predicted_object(mean, settings.object_kernel),
}


def regions_of(statistics: MonteCarloStatistics, names: Sequence[str], settings: RegionSettings) -> list[Tensor]:
    """Regions by their names. The prediction is dilated once where two of them dilate it by the same cube."""
    found: dict[str, Tensor] = {}
    for name in names:
        if name == "object" and "dilated_foreground" in found and settings.object_kernel == settings.dilation_kernel:
            seen = seen_voxels(statistics.mean.shape[1:], settings.object_kernel, statistics.mean.device)
            found[name] = found["dilated_foreground"] & seen
        else:
            found[name] = region_of(statistics, name, settings)
    return list(found.values())


def region_of(statistics: MonteCarloStatistics, name: str, settings: RegionSettings) -> Tensor:
    """A region by its name: bool `(*S)`. Near structures that overlap, `boundary` is that of any of them."""
    if statistics.overlapping and name == "boundary":
        return overlapping.boundary(statistics.mean[1:], settings.boundary_width)
    return REGIONS[name](statistics.mean, settings)
