"""What a data set is like, as far as a recipe for it follows from that."""

from collections.abc import Sequence
from dataclasses import dataclass

Lengths = tuple[float, float, float]
ANISOTROPY = 3.0
"""Slices so many times as thick as their pixels are anisotropic (nnU-Net's threshold)."""


@dataclass(frozen=True)
class ImageShape:
    """Voxels and spacing of an image. The first two axes lie in its slices, in their order; the last lies across."""

    size: tuple[int, int, int]
    spacing_mm: Lengths


@dataclass(frozen=True)
class Fingerprint:
    """A data set.

    Attributes:
        shapes: of its images, by slices.
        oriented: of the same images, with the axes nearest to left-right, front-back and up-down.
        is_ct: whether most of its images are in Hounsfield units.
        window: percentiles 0.5 and 99.5 of the voxels that are foreground, or of all where nobody drew any.
        foreground_share: of all voxels, those that are foreground; None where nobody drew any.
        measured: of how many images the voxels were read.
    """

    shapes: tuple[ImageShape, ...]
    oriented: tuple[ImageShape, ...]
    is_ct: bool
    window: tuple[float, float]
    foreground_share: float | None
    measured: int


@dataclass(frozen=True)
class Machine:
    """What a training may take: bytes of memory, and whether a GPU computes."""

    memory_bytes: int
    has_gpu: bool


def median(values: Sequence[float]) -> float:
    """The middle one of some numbers, or the mean of both that are; as numpy has it."""
    return percentile(values, 50)


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile with linear interpolation."""
    rising = sorted(values)
    place = (len(rising) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(rising) - 1)
    return rising[below] + (rising[above] - rising[below]) * (place - below)
