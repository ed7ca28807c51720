"""The windows of a validation during training, padded as those of a prediction."""

from collections.abc import Callable
from typing import Any

from monai.inferers import SlidingWindowInferer
from torch import Tensor

from activelabel.data.reflection import before, reflect_to
from activelabel.prediction.windows import Size3D


class ReflectedWindowInferer(SlidingWindowInferer):
    """MONAI's sliding windows, blended with Gaussian weights, over volumes that are padded by reflection.

    MONAI's own reflection fails where the padding is as large as the volume.
    """

    def __init__(self, window_size: Size3D, window_overlap: float, batch_size: int) -> None:
        super().__init__(roi_size=window_size, sw_batch_size=batch_size, overlap=window_overlap, mode="gaussian")
        self._window_size = window_size

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
        """Logits (B, C, *S) of `inputs` (B, K, *S), whatever their size."""
        size = inputs.shape[2:]
        padded = reflect_to(inputs, self._window_size)
        logits: Tensor = super().__call__(padded, network, *args, **kwargs)
        starts = [before(length, wanted) for length, wanted in zip(size, self._window_size, strict=True)]
        for axis, (start, length) in enumerate(zip(starts, size, strict=True), start=2):
            logits = logits.narrow(axis, start, length)
        return logits
