"""The spacing to which a planned recipe resamples images, and their size after it."""

import math
from collections.abc import Sequence

from activelabel.recipes.fingerprint import ANISOTROPY, ImageShape, Lengths, median, percentile

_CPU_PIXELS = 120 * 120
"""The most pixels of a slice on a processor."""
_MOST_COARSER = 2.0


def target_spacing(shapes: Sequence[ImageShape]) -> Lengths:
    """The spacing to resample to: the median of each axis; for thick slices the 10th percentile of their distances.

    With the median of 10 mm, images with slices of 5 mm would lose every second one.
    """
    axes = [[shape.spacing_mm[axis] for shape in shapes] for axis in range(3)]
    sizes = [median([shape.size[axis] for shape in shapes]) for axis in range(3)]
    target = [median(values) for values in axes]
    worst = max(range(3), key=lambda axis: target[axis])
    others = [axis for axis in range(3) if axis != worst]
    widest = max(target[axis] for axis in others)
    few = sizes[worst] * ANISOTROPY < min(sizes[axis] for axis in others)
    if target[worst] > ANISOTROPY * widest and few:
        target[worst] = max(percentile(axes[worst], 10), widest)
    return (round(target[0], 4), round(target[1], 4), round(target[2], 4))


def coarser_spacing(size: Sequence[int], spacing: Lengths) -> Lengths:
    """The spacing at which slices of this size have few enough pixels for a processor, but twice as coarse at most."""
    factor = min(_MOST_COARSER, max(1.0, math.sqrt(size[0] * size[1] / _CPU_PIXELS)))
    return (round(spacing[0] * factor, 4), round(spacing[1] * factor, 4), spacing[2])


def median_size(shapes: Sequence[ImageShape], spacing: Lengths) -> tuple[int, int, int]:
    """The size of the median image after resampling."""
    resampled = [
        [
            round(length * own / wanted)
            for length, own, wanted in zip(shape.size, shape.spacing_mm, spacing, strict=True)
        ]
        for shape in shapes
    ]
    first, second, third = (max(1, round(median([sizes[axis] for sizes in resampled]))) for axis in range(3))
    return (first, second, third)
