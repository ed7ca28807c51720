"""The places of the windows in a volume, the windows that hold nothing, and images that lie in one window."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from activelabel.data.reflection import before, reflect_to
from activelabel.errors import InvalidInputError

Size3D = tuple[int, int, int]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class WindowGrid:
    """The windows over one volume, padded by reflection on both sides: by `margin`, and further to the size of a
    window.

    An odd voxel of padding is put at the end.
    """

    volume_size: Size3D
    window_size: Size3D
    starts: tuple[Size3D, ...]
    margin: Size3D = (0, 0, 0)

    @property
    def padded_size(self) -> Size3D:
        """Size of the volume after padding: nowhere smaller than a window."""
        sizes = zip(self.volume_size, self.margin, self.window_size, strict=True)
        w, h, d = (max(volume + 2 * margin, window) for volume, margin, window in sizes)
        return w, h, d

    def boxes(self) -> list[Box]:
        """Each window as slices of the padded volume."""
        w, h, d = self.window_size
        return [(slice(x, x + w), slice(y, y + h), slice(z, z + d)) for x, y, z in self.starts]

    def pad(self, image: Tensor) -> Tensor:
        """`(K, *volume_size)` → `(K, *padded_size)`, filled by reflection."""
        return reflect_to(image, self.padded_size)

    def crop(self, maps: Tensor) -> Tensor:
        """`(…, *padded_size)` → `(…, *volume_size)`, a view: undoes `pad`."""
        inside = (..., *self.inside())
        return maps[inside]

    def inside(self) -> Box:
        """The volume within the padded one."""
        corner = (before(v, p) for v, p in zip(self.volume_size, self.padded_size, strict=True))
        x, y, z = (slice(start, start + v) for start, v in zip(corner, self.volume_size, strict=True))
        return x, y, z


def image_size(image: Tensor, channels: int) -> Size3D:
    """The size of an image `(channels, W, H, D)`.

    Raises:
        InvalidInputError: it has other channels, or an empty axis.
    """
    if image.ndim != 4 or image.shape[0] != channels or 0 in image.shape:
        raise InvalidInputError(
            f"an image must be ({channels}, W, H, D) with no empty axis, got {tuple(image.shape)}: the channels are "
            "those with which the model was trained"
        )
    _, w, h, d = image.shape
    return w, h, d


def window_grid(volume_size: Size3D, window_size: Size3D, overlap: float, margin: Size3D = (0, 0, 0)) -> WindowGrid:
    """Windows that cover the volume, neighbours sharing at least the fraction `overlap` of a side, in [0, 1).

    The first window of an axis begins `margin` voxels before the volume, the last one ends `margin` voxels after it.
    Without a margin, the places are those of MONAI's `sliding_window_inference`.
    """
    sizes = zip(volume_size, margin, window_size, strict=True)
    xs, ys, zs = (_starts(volume + 2 * beyond, window, overlap) for volume, beyond, window in sizes)
    return WindowGrid(volume_size, window_size, tuple(product(xs, ys, zs)), margin)


def _starts(volume: int, window: int, overlap: float) -> list[int]:
    step = max(int(window * (1 - overlap)), 1)
    furthest = max(volume - window, 0)
    return [min(index * step, furthest) for index in range(math.ceil(furthest / step) + 1)]


class WindowedVolume:
    """A padded image and its windows, identified by their numbers in the grid.

    Attributes:
        grid: the places of the windows.
        occupied: numbers of the windows to run.
        skipped: numbers of the windows that hold nothing; empty without `skip_empty`.
    """

    def __init__(self, image: Tensor, grid: WindowGrid, skip_empty: bool) -> None:
        self.grid = grid
        self._image = grid.pad(image)
        self._boxes = grid.boxes()
        numbers = range(len(self._boxes))
        self.skipped = [n for n in numbers if skip_empty and holds_nothing(self._window(n))]
        self.occupied = sorted(set(numbers) - set(self.skipped))

    @property
    def is_one_window(self) -> bool:
        """Whether the volume lies in one window, which is run."""
        return len(self._boxes) == 1 and not self.skipped

    def batch(self, windows: Sequence[int]) -> Tensor:
        """The windows with these numbers, `(B, K, *window_size)`."""
        return torch.stack([self._window(number) for number in windows])

    def _window(self, number: int) -> Tensor:
        """`(K, *window_size)`."""
        box = (slice(None), *self._boxes[number])
        return self._image[box]


def holds_nothing(window: Tensor) -> bool:
    """Whether a window `(K, *S)` is constant in each channel: air outside the body.

    It has nothing to segment, whatever its value (after z-scoring, air is not the least value of an image).
    """
    flat = window.flatten(1)
    return bool((flat.amin(dim=1) == flat.amax(dim=1)).all())


def small_together(images: Sequence[Tensor], is_small: Callable[[Tensor], bool], most: int) -> Iterator[list[Tensor]]:
    """The images in order, in groups: up to `most` small ones that follow each other, each of the others by itself.

    The one window of a small image would leave most of a processor or a GPU idle.
    """
    group: list[Tensor] = []
    for image in images:
        small = is_small(image)
        if group and (not small or len(group) == most):
            yield group
            group = []
        group.append(image)
        if not small:
            yield group
            group = []
    if group:
        yield group
