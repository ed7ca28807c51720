"""The largest patch that fits the memory, and how often a network can halve it, by the rules of nnU-Net."""

import math
from collections.abc import Sequence

from activelabel.recipes.fingerprint import Machine

LEAST_EDGE = 4
"""The least voxels of an axis at the lowest level."""
_MOST_STRIDES = 5
_LOWEST_LEVELS_SHARED = 2  # the upper two levels of an anisotropic_unet pool in the plane only
_BYTES = {"unet": 30, "unet2d": 30, "anisotropic_unet": 160}
"""The measured bytes of memory of a training per voxel of a patch and channel of the first level."""
_CPU_VOXELS = 2**17
"""The most voxels of a step on a processor; a step of the recipe `quick` has 179,200."""
_MOST_PADDING = 1.25
"""On a processor a level is left out if the patch, rounded up for it, has more voxels than this times the image's."""
_LEAST_STRIDES = 2  # fewer are never left for the sake of the padding


def fit_patch(kind: str, size: Sequence[int], base: int, machine: Machine) -> tuple[tuple[int, int, int], int, bool]:
    """The patch for images of this size, the number of strides that it allows, and whether it had to be made smaller.

    The axis that is longest relative to the image is shortened until two patches fit. On a processor there are fewer
    strides where the patch would otherwise be much larger than the image: nothing is learnt from what pads it.
    """
    patch = [1 if kind == "unet2d" and axis == 2 else length for axis, length in enumerate(size)]
    shrunk = False
    while True:
        strides = possible_strides(kind, patch)
        steps, rounded = _rounded(kind, strides, patch)
        while kind == "unet" and not machine.has_gpu and strides > _LEAST_STRIDES:
            if math.prod(rounded) <= _MOST_PADDING * math.prod(patch):
                break
            strides -= 1
            steps, rounded = _rounded(kind, strides, patch)
        if _fits(kind, rounded, base, machine):
            break
        shortened = _shorter(rounded, size, steps)
        if shortened is None:
            break
        patch, shrunk = shortened, True
    return (rounded[0], rounded[1], rounded[2]), strides, shrunk


def training_bytes(kind: str, voxels: int, base: int) -> int:
    """The memory of a training step over so many voxels, for a network of `base` channels at its first level."""
    return _BYTES[kind] * base * voxels


def possible_strides(kind: str, patch: Sequence[int]) -> int:
    """How often the axes of a patch can be halved so that the lowest level has at least 4 voxels along each."""
    in_plane = min(_halvings(length) for length in patch[:2])
    if kind == "unet2d":
        found = in_plane
    else:
        across = _halvings(patch[2]) + (_LOWEST_LEVELS_SHARED if kind == "anisotropic_unet" else 0)
        found = min(in_plane, across)
    return max(1, min(found, _MOST_STRIDES))


def multiples(kind: str, strides: int) -> tuple[int, int, int]:
    """By axis, the number of which the length of a patch must be a multiple for so many strides."""
    across = {"unet": strides, "unet2d": 0, "anisotropic_unet": max(0, strides - _LOWEST_LEVELS_SHARED)}[kind]
    return (2**strides, 2**strides, 2**across)


def _fits(kind: str, patch: Sequence[int], base: int, machine: Machine) -> bool:
    voxels = 2 * math.prod(patch)
    return training_bytes(kind, voxels, base) <= machine.memory_bytes and (machine.has_gpu or voxels <= 2 * _CPU_VOXELS)


def _shorter(patch: list[int], size: Sequence[int], steps: Sequence[int]) -> list[int] | None:
    """The patch with its longest axis, relative to the image, shortened by a network step; None if impossible."""
    able = [axis for axis in range(3) if patch[axis] - steps[axis] >= min(LEAST_EDGE * 2, patch[axis])]
    able = [axis for axis in able if patch[axis] > steps[axis]]
    if not able:
        return None
    longest = max(able, key=lambda axis: (patch[axis] / size[axis], patch[axis]))
    return [length - steps[axis] if axis == longest else length for axis, length in enumerate(patch)]


def _halvings(length: int) -> int:
    return max(0, int(math.log2(max(length, 1) / LEAST_EDGE)))


def _rounded(kind: str, strides: int, patch: Sequence[int]) -> tuple[tuple[int, int, int], list[int]]:
    """The multiples that so many strides need along each axis, and the patch rounded up to them."""
    steps = multiples(kind, strides)
    return steps, [-(-length // step) * step for length, step in zip(patch, steps, strict=True)]
