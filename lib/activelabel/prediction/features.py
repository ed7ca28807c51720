"""Features, one vector for each volume or slice, from the lowest level of a network, for choices that spread."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from activelabel.errors import InvalidInputError
from activelabel.networks.bottleneck import bottleneck
from activelabel.prediction.batching import BatchLimit
from activelabel.prediction.windows import Size3D, WindowedVolume, image_size, window_grid


class FeatureExtractor:
    """A frozen copy of a network that gives the features of any number of volumes; dropout is off."""

    def __init__(
        self,
        network: nn.Module,
        window_size: Size3D,
        window_overlap: float,
        device: torch.device | str = "cpu",
        channels: int = 1,
    ) -> None:
        """Copy the network to `device` and try it on an empty window.

        Args:
            network: from `build_network`.
            window_size: in voxels, as in prediction.
            window_overlap: fraction of a side that neighbours share, in [0, 1).
            device: where the network runs, always in float32.
            channels: the channels of an image.

        Raises:
            InvalidInputError: the network does not take such windows.
        """
        self._device = torch.device(device)
        self._network = copy.deepcopy(network).to(self._device).eval()
        self._bottleneck = bottleneck(self._network)
        self._window_size = window_size
        self._overlap = window_overlap
        self._channels = channels
        self._limit = BatchLimit(window_size[0] * window_size[1] * window_size[2], self._device)
        try:
            self._lowest(torch.zeros((1, channels, *window_size), device=self._device))
        except RuntimeError as error:
            problem = str(error).partition("\n")[0]
            raise InvalidInputError(
                f"window_size: the network does not take windows of {tuple(window_size)} voxels: {problem}"
            ) from error

    def features(self, image: Tensor) -> Tensor:
        """The lowest level, averaged over space and then over windows: `(K, W, H, D)` → `(F,)`, float32.

        The vector is on the CPU. Constant windows, outside the body, do not count unless all are constant. The same
        image gives the same vector, up to rounding whatever the batch size; nothing is random.

        Raises:
            InvalidInputError: `image` is no such volume, or a window does not fit into memory.
        """
        volume = self._windowed(image)
        pooled = [lowest.flatten(2).mean(dim=2) for _, lowest in self._run(volume)]
        return torch.cat(pooled).mean(dim=0).cpu()

    def slice_features(self, image: Tensor, axis: int) -> Tensor:
        """The lowest level slice by slice: `(K, W, H, D)` → `(slices along axis, F)`, float32 on the CPU.

        Each window gives its mean over the other two axes, interpolated linearly between the few places of the lowest
        level along `axis`. A slice has the mean over the windows that hold it; a slice in no window has the features of
        the nearest slice in one. Windows count as in `features`. Raises what `features` does.
        """
        volume = self._windowed(image)
        sums: Tensor = torch.zeros(0)
        held = torch.zeros(volume.grid.padded_size[axis])
        for numbers, lowest in self._run(volume):
            along = lowest.movedim(2 + axis, -1).flatten(2, -2).mean(dim=2)
            size = self._window_size[axis]
            rows = functional.interpolate(along, size, mode="linear", align_corners=False).movedim(1, 2).cpu()
            sums = sums if len(sums) else torch.zeros(len(held), rows.shape[2])
            for number, of_window in zip(numbers, rows, strict=True):
                start = volume.grid.starts[number][axis]
                sums[start : start + size] += of_window
                held[start : start + size] += 1
        inside = volume.grid.inside()[axis]
        means, held = (sums / held.clamp_min(1)[:, None])[inside], held[inside]
        return means[_nearest_held(held > 0)]

    def _windowed(self, image: Tensor) -> WindowedVolume:
        w, h, d = image_size(image, self._channels)
        grid = window_grid((w, h, d), self._window_size, self._overlap)
        return WindowedVolume(image.to(self._device, torch.float32), grid, skip_empty=True)

    def _run(self, volume: WindowedVolume) -> Iterator[tuple[tuple[int, ...], Tensor]]:
        """The numbers of a batch of windows and their lowest level (B, F, *s), batch by batch."""
        jobs = self._limit.jobs(volume.occupied or volume.skipped, range(1))
        for job, lowest in self._limit.run(jobs, lambda job: self._lowest(volume.batch(job.windows))):
            yield job.windows, lowest

    def _lowest(self, windows: Tensor) -> Tensor:
        """The lowest level's output (B, F, *s) for windows (B, K, *window_size)."""
        outputs: list[Tensor] = []
        hook = self._bottleneck.register_forward_hook(lambda _layer, _inputs, output: outputs.append(output))
        try:
            with torch.no_grad():
                self._network(windows)
        finally:
            hook.remove()
        return outputs[0]


def _nearest_held(held: Tensor) -> Tensor:
    """For each slice, the index of the nearest slice that a window holds, itself included: bool (S,) → (S,)."""
    indices = held.nonzero()[:, 0]
    return indices[(torch.arange(len(held))[:, None] - indices).abs().argmin(dim=1)]
