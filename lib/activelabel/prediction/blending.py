"""Blending of the predictions of overlapping windows to one map of the volume."""

import torch
from torch import Tensor

from activelabel.prediction.windows import Size3D, WindowGrid

# A window's weight is a Gaussian whose standard deviation is one eighth of its side, e^-8 at the middle of a face. The
# floor keeps a voxel that only a corner covers from being divided by next to nothing.
_SIGMA = 0.125
_LEAST_WEIGHT = 1e-3


def gaussian_weights(window_size: Size3D) -> Tensor:
    """Weight of each voxel of a window: float32 `window_size`, about 1 in the middle, never below 1e-3."""
    weights = torch.ones(())
    for size in window_size:
        distance = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (distance / (_SIGMA * size)) ** 2)
    return weights.clamp_min_(_LEAST_WEIGHT)


class Blend:
    """Weighted means of windows, for several repeats side by side. Call `clear` first, and before other repeats."""

    def __init__(self, grid: WindowGrid, repeats: int, classes: int, device: torch.device) -> None:
        self._boxes = grid.boxes()
        self._crop = grid.crop
        # A single window needs no weights: its probabilities are kept to the bit.
        weights = gaussian_weights(grid.window_size) if len(self._boxes) > 1 else torch.ones(grid.window_size)
        self._window_weights = weights.to(device)
        self._weights = torch.zeros(grid.padded_size, device=device)
        for box in self._boxes:
            self._weights[box] += self._window_weights
        self._sums = torch.empty((repeats, classes, *grid.padded_size), device=device)

    def add(self, window: int, repeats: slice, probabilities: Tensor) -> None:
        """Add a window's probabilities `(r, C, *window_size)` of the `repeats`, counted within this blend."""
        if len(self._boxes) == 1:
            self._sums[repeats] = probabilities
        else:
            box = (repeats, slice(None), *self._boxes[window])
            self._sums[box].addcmul_(probabilities, self._window_weights)

    def add_background(self, window: int) -> None:
        """Add a window that is background with certainty, probability 1 for class 0, to all repeats."""
        box = (slice(None), 0, *self._boxes[window])
        self._sums[box] += self._window_weights

    def maps(self) -> Tensor:
        """Blended probabilities `(repeats, C, *volume_size)`, a view; every window must have been added."""
        if len(self._boxes) > 1:
            self._sums /= self._weights
        return self._crop(self._sums)

    def clear(self) -> None:
        """Reset all sums for other repeats."""
        self._sums.zero_()
