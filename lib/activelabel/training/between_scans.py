"""Changes as between two scans, on plain tensors: MONAI's transforms take five times as long for the same patch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import RandomizableTransform
from monai.utils import convert_to_tensor
from torch import Tensor

from activelabel.training.patches import KEYS

_ANGLE = 0.2  # radians, about 11 degrees
_SCALE = 0.1


class RandomPlace(RandomizableTransform):
    """Rotation and scaling of the patient within a patch, for half of the patches.

    Angles are up to 0.2 radians (about 11 degrees) about each axis, sizes differ by up to a tenth along each. Beyond
    the ends of a patch the image is reflected, and the label is 0: not annotated. Zeros in the image would be tissue
    after z-scoring. A flat patch stays in its plane: turned out of it, it would keep the label of a few voxels only.
    """

    def __init__(self, flat: bool = False, prob: float = 0.5) -> None:
        super().__init__(prob)
        self._angles = np.array([0, 0, _ANGLE] if flat else [_ANGLE] * 3)
        self._scales = np.array([_SCALE, _SCALE, 0] if flat else [_SCALE] * 3)

    def __call__(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """Image and label (C, *S) of a patch, resampled together; other entries unchanged."""
        self.randomize(None)
        if not self._do_transform:
            return dict(patch)
        angles, scales = (self.R.uniform(-1, 1, 3) * most for most in (self._angles, self._scales))
        image, label = (convert_to_tensor(patch[key], track_meta=False) for key in KEYS)
        return {**patch, **dict(zip(KEYS, placed(image, label, rotation(angles) * (1 + scales)), strict=True))}


def rotation(angles: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The rotation about the first, then the second, then the third axis, as a matrix for columns."""
    matrix = np.eye(3)
    for (first, second), angle in zip(((1, 2), (2, 0), (0, 1)), angles, strict=True):
        turn = np.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[second, first] = math.sin(angle)
        turn[first, second] = -math.sin(angle)
        matrix = matrix @ turn
    return matrix


def placed(image: Tensor, label: Tensor, matrix: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[Tensor, Tensor]:
    """Image (C, *S) and label (1, *S), read at `matrix` times the place of each voxel relative to the middle.

    The same as torch's `grid_sample` with `reflection`, and `nearest` for the label, in less than half of its time.
    """
    places = _places(image.shape[1:], matrix)
    moved = torch.stack([_between(channel, places) for channel in image])
    return moved, _nearest(label[0], places)[None]


def _places(size: Sequence[int], matrix: np.ndarray[Any, np.dtype[np.float64]]) -> list[Tensor]:
    """For each axis, where each voxel of the result is read, in voxels."""
    middle = [(length - 1) / 2 for length in size]
    places = []
    for row, own in zip(matrix.tolist(), middle, strict=True):
        # Each term varies along one axis: only the last sum takes as many additions as there are voxels.
        terms = [(torch.arange(n) - half) * factor for n, half, factor in zip(size, middle, row, strict=True)]
        first, second, third = terms
        places.append(((first + own)[:, None] + second)[:, :, None] + third)
    return places


def _nearest(label: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The value at the voxel nearest to each place; 0 beyond the ends."""
    index, inside = torch.zeros((), dtype=torch.int32), torch.ones((), dtype=torch.bool)
    for length, place in zip(label.shape, places, strict=True):
        rounded = place.round()
        within = rounded.clamp(0, length - 1)
        inside = inside & (rounded == within)
        index = index * length + within.int()  # of 32 bits, which a processor converts eight at once
    return label.flatten().index_select(0, index.flatten()).view(label.shape) * inside


def _between(channel: Tensor, places: Sequence[Tensor]) -> Tensor:
    """The trilinear interpolation at each place, reflected beyond the ends."""
    corner, axes = torch.zeros((), dtype=torch.int32), list[tuple[int, Tensor]]()
    for axis, (length, place) in enumerate(zip(channel.shape, places, strict=True)):
        if length == 1:
            continue
        reflected = _reflected(place, length)
        lower = reflected.floor().clamp_(max=length - 2)
        axes.append((math.prod(channel.shape[axis + 1 :]), (reflected - lower).flatten()))
        corner = corner * length + lower.int()
    values, corner = channel.flatten(), corner.expand(channel.shape).flatten()

    def read(offset: int, left: Sequence[tuple[int, Tensor]]) -> Tensor:
        if not left:
            return values[offset:].index_select(0, corner)
        (step, share), *inner = left
        return read(offset, inner).lerp_(read(offset + step, inner), share)

    return read(0, axes).view(channel.shape)


def _reflected(place: Tensor, length: int) -> Tensor:
    """Places within 0 and `length` - 1, reflected at the outer sides of the outermost voxels."""
    folded = (place + 0.5).abs_()
    if folded.max() >= 2 * length:  # seldom, and slow: a patch is turned about its middle, by little
        folded.remainder_(2 * length)
    return torch.minimum(folded, 2 * length - folded).sub_(0.5).clamp_(0, length - 1)


class RandomScanner(RandomizableTransform):
    """Gain and offset of the image for half of the patches each, and noise for a quarter; labels stay."""

    def __init__(self, prob: float = 0.5, gain: float = 0.1, offset: float = 0.1, noise_prob: float = 0.25) -> None:
        super().__init__()
        self._prob = prob
        self._gain = gain
        self._offset = offset
        self._noise_prob = noise_prob
        self._noise = 0.05

    def __call__(self, patch: Mapping[str, Any]) -> dict[str, Any]:
        """The patch with its image (C, *S) changed."""
        drawn = self.R.random_sample(3) < (self._prob, self._prob, self._noise_prob)
        image = convert_to_tensor(patch["image"], track_meta=False)
        if drawn[0]:
            image = image * (1 + self._each_channel(image, self._gain))
        if drawn[1]:
            image = image + self._each_channel(image, self._offset)
        if drawn[2]:
            generator = torch.Generator().manual_seed(int(self.R.randint(2**31)))
            deviation = self.R.uniform(0, self._noise)
            image = image + deviation * torch.randn(image.shape, generator=generator)
        return {**patch, "image": image}

    def _each_channel(self, image: Tensor, most: float) -> Tensor:
        """A random number from -`most` to `most` for each channel, as each was scanned by itself."""
        drawn = self.R.uniform(-most, most, size=len(image))
        return torch.from_numpy(drawn).to(image.dtype).reshape(-1, 1, 1, 1)
