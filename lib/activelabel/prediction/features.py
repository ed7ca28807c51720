"""One vector a volume: what a network makes of it at its lowest level, for choices that spread over the pool."""

import copy

import torch
from torch import Tensor, nn

from activelabel.errors import InvalidInputError
from activelabel.networks.bottleneck import bottleneck
from activelabel.prediction.batching import BatchLimit
from activelabel.prediction.windows import Size3D, WindowedVolume, window_grid


class FeatureExtractor:
    """A frozen copy of a network, to be asked for the features of any number of volumes; dropout is off."""

    def __init__(
        self, network: nn.Module, window_size: Size3D, window_overlap: float, device: torch.device | str = "cpu"
    ) -> None:
        """Copy the network to `device` and try it on an empty window.

        Args:
            network: of `build_network`.
            window_size: in voxels, as in prediction.
            window_overlap: fraction of a side that neighbours share, in [0, 1).
            device: where the network runs, always in float32.

        Raises:
            InvalidInputError: the network does not take such windows.
        """
        self._device = torch.device(device)
        self._network = copy.deepcopy(network).to(self._device).eval()
        self._bottleneck = bottleneck(self._network)
        self._window_size = window_size
        self._overlap = window_overlap
        self._limit = BatchLimit(window_size[0] * window_size[1] * window_size[2], self._device)
        try:
            self._pooled(torch.zeros((1, 1, *window_size), device=self._device))
        except RuntimeError as error:
            problem = str(error).partition("\n")[0]
            raise InvalidInputError(
                f"window_size: the network does not take windows of {tuple(window_size)} voxels: {problem}"
            ) from error

    def features(self, image: Tensor) -> Tensor:
        """The mean over space of the lowest level, and of that the mean over windows: `(1, W, H, D)` → `(F,)`, float32.

        On the CPU. Windows that are constant, outside the body, do not count, unless all are. The same image gives the
        same vector, up to rounding whatever the batch size; nothing is random.

        Raises:
            InvalidInputError: `image` is no such volume, or a window does not fit into memory.
        """
        if image.ndim != 4 or image.shape[0] != 1 or 0 in image.shape:
            raise InvalidInputError(f"an image must be (1, W, H, D) with no empty axis, got {tuple(image.shape)}")
        _, w, h, d = image.shape
        grid = window_grid((w, h, d), self._window_size, self._overlap)
        volume = WindowedVolume(image.to(self._device, torch.float32), grid, skip_empty=True)
        windows = volume.occupied or volume.skipped
        jobs = self._limit.jobs(windows, range(1))
        pooled = [pooled for _, pooled in self._limit.run(jobs, lambda job: self._pooled(volume.batch(job.windows)))]
        return torch.cat(pooled).mean(dim=0).cpu()

    def _pooled(self, windows: Tensor) -> Tensor:
        """The lowest level's output for windows (B, 1, *window_size), its mean over space: (B, F)."""
        outputs: list[Tensor] = []
        hook = self._bottleneck.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
        try:
            with torch.no_grad():
                self._network(windows)
        finally:
            hook.remove()
        return outputs[0].flatten(2).mean(dim=2)
