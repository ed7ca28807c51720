"""Sliding windows for validation during training, padded like those of a prediction."""

from collections.abc import Callable
from typing import Any

from monai.inferers import SlidingWindowInferer
from torch import Tensor

from activelabel.prediction.windows import Size3D, window_grid


class ReflectedWindowInferer(SlidingWindowInferer):
    """MONAI's sliding windows, blended with Gaussian weights, over volumes that are padded by reflection.

    MONAI's own reflection fails if the padding is as large as the volume.
    """

    def __init__(self, window_size: Size3D, window_overlap: float, batch_size: int, margin: Size3D = (0, 0, 0)) -> None:
        """Arguments as in `Predictor`; `batch_size` windows go through the network at once."""
        super().__init__(roi_size=window_size, sw_batch_size=batch_size, overlap=window_overlap, mode="gaussian")
        self._window_size = window_size
        self._shared = window_overlap
        self._margin = margin

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Logits (B, C, *S) of `inputs` (B, K, *S), whatever their size."""
        w, h, d = inputs.shape[2:]
        grid = window_grid((w, h, d), self._window_size, self._shared, self._margin)
        logits: Tensor = super().__call__(grid.pad(inputs), network, *args, **kwargs)
        return grid.crop(logits)
