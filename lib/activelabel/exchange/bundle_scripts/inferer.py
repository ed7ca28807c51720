"""The network over a volume in sliding windows, with the probabilities that the app computes."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor

from activelabel.acquisition.overlapping import with_background
from activelabel.prediction.blending import Blend
from activelabel.prediction.windows import WindowedVolume, window_grid


class WindowInferer(Inferer):
    """Blends the softmax of overlapping windows with Gaussian weights.

    Unlike MONAI's `SlidingWindowInferer`, it pads by reflection whatever the size of a volume, reaches beyond its ends
    by `margin`, and takes constant windows, which lie outside the body, for background without running the network.
    """

    def __init__(
        self,
        window_size: Sequence[int],
        overlap: float,
        margin: Sequence[int],
        skip_outside_body: bool,
        classes: int,
        batch_size: int = 1,
        overlapping: bool = False,
    ) -> None:
        """`classes` are those of the probabilities; if structures are `overlapping`, each has a sigmoid of its own."""
        super().__init__()
        self._overlapping = overlapping
        self._window_size = (window_size[0], window_size[1], window_size[2])
        self._overlap = overlap
        self._margin = (margin[0], margin[1], margin[2])
        self._skip = skip_outside_body
        self._classes = classes
        self._batch_size = batch_size

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Images (B, K, *S) → probabilities (B, C, *S), background first; `network` gives logits of windows."""
        with torch.no_grad():
            plain = torch.as_tensor(inputs).as_subclass(Tensor)
            return torch.stack([self._probabilities(image.float(), network) for image in plain])

    def _probabilities(self, image: Tensor, network: Callable[..., Tensor]) -> Tensor:
        width, height, depth = image.shape[1:]
        grid = window_grid((width, height, depth), self._window_size, self._overlap, self._margin)
        volume = WindowedVolume(image, grid, self._skip)
        blend = Blend(grid, 1, self._classes, image.device)
        blend.clear()
        for first in range(0, len(volume.occupied), self._batch_size):
            numbers = volume.occupied[first : first + self._batch_size]
            probabilities = self._probable(network(volume.batch(numbers)).float())
            for number, of_window in zip(numbers, probabilities.split(1), strict=True):
                blend.add(number, slice(0, 1), of_window)
        for number in volume.skipped:
            blend.add_background(number)
        maps = blend.maps()[0]
        return with_background(maps[1:]) if self._overlapping else maps

    def _probable(self, logits: Tensor) -> Tensor:
        if self._overlapping:
            return with_background(torch.sigmoid(logits).movedim(1, 0)).movedim(0, 1)
        return torch.softmax(logits, dim=1)
