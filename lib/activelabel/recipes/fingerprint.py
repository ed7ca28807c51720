"""The properties of a data set that determine a recipe for it."""

from collections.abc import Sequence
from dataclasses import dataclass

Lengths = tuple[float, float, float]
ANISOTROPY = 3.0
"""The ratio of slice distance to pixel size above which images are anisotropic (nnU-Net's threshold)."""


@dataclass(frozen=True)
class ImageShape:
    """Size in voxels and spacing of an image. The first two axes lie in its slices, in order; the last lies across."""

    size: tuple[int, int, int]
    spacing_mm: Lengths


@dataclass(frozen=True)
class Fingerprint:
    """The properties of a data set.

    Attributes:
        shapes: the shapes of its images, the slice axis last.
        oriented: the shapes of the same images, with the axes nearest to left-right, front-back and up-down.
        is_ct: whether most of its images are in Hounsfield units, in any channel.
        window: percentiles 0.5 and 99.5 of the foreground voxels, or of all voxels if none is foreground.
        foreground_share: the share of foreground in all voxels; None if no voxel is foreground.
        measured: the number of images whose voxels were read.
        ct_channels: for each channel, whether it is in Hounsfield units; empty for one channel.
    """

    shapes: tuple[ImageShape, ...]
    oriented: tuple[ImageShape, ...]
    is_ct: bool
    window: tuple[float, float]
    foreground_share: float | None
    measured: int
    ct_channels: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Machine:
    """The resources of a training: bytes of memory, and whether there is a GPU."""

    memory_bytes: int
    has_gpu: bool


def median(values: Sequence[float]) -> float:
    """The median as numpy defines it: for an even number of values the mean of the middle two."""
    return percentile(values, 50)


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile with linear interpolation."""
    rising = sorted(values)
    place = (len(rising) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(rising) - 1)
    return rising[below] + (rising[above] - rising[below]) * (place - below)
