"""A network run over a volume in sliding windows, once or many times with Monte Carlo dropout."""

import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from activelabel.acquisition.overlapping import with_background
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.errors import InvalidInputError
from activelabel.prediction.batching import BatchLimit, Job
from activelabel.prediction.blending import Blend
from activelabel.prediction.devices.fastest_copy import fastest_copy
from activelabel.prediction.devices.freed_memory import keep_freed_memory
from activelabel.prediction.devices.precision import PrecisionName
from activelabel.prediction.dropout import Draw, RandomDropout, keep_last_random, monte_carlo_dropout, random_layers
from activelabel.prediction.network_check import class_count
from activelabel.prediction.sharing import SharedFeatures, SplitNetwork, each_repeated, split_before_dropout
from activelabel.prediction.windows import Size3D, WindowedVolume, WindowGrid, image_size, small_together, window_grid

logger = logging.getLogger(__name__)

# The most memory for maps of repeats that are blended side by side, and for features kept between repeats.
_BLEND_BYTES = {"cpu": 64 << 20, "cuda": 2 << 30}
_KEPT_BYTES = {"cpu": 2 << 30, "cuda": 8 << 30}
# If less of the network is shared, computing it again costs little time, and keeping it would cost much memory.
_LEAST_SHARED_TO_KEEP = 0.25


class Predictor:
    """A frozen copy of a network that predicts any number of volumes; later training does not change it.

    Windows are blended with Gaussian weights; a volume smaller than the window is padded by reflection and cropped
    back. With `skip_outside_body`, constant windows, outside the body, are not run: they count as background with
    probability 1. Nothing here draws from torch's or numpy's global generators. One predictor serves one thread at a
    time.

    Attributes:
        classes: number of classes C that the network tells apart, background included.
        overlapping: whether these overlap, each with a probability of its own, and not one of all.
        precision: the type of the forward pass, and why; softmax and all later steps are float32.
    """

    def __init__(
        self,
        network: nn.Module,
        window_size: Size3D,
        window_overlap: float,
        device: torch.device | str = "cpu",
        precision: PrecisionName = "auto",
        skip_outside_body: bool = True,
        margin: Size3D = (0, 0, 0),
        channels: int = 1,
        overlapping: bool = False,
        last_layers: int | None = None,
        choices_file: Path | None = None,
    ) -> None:
        """Copy the network to `device` and try it on empty windows.

        Args:
            network: from `(B, channels, *window_size)` to logits `(B, C, *window_size)`, C >= 2.
            window_size: in voxels.
            window_overlap: fraction of a side that neighbours share, in [0, 1).
            device: where the network runs and the maps are held: a CPU or a CUDA device.
            precision: `auto` takes bfloat16 where the hardware multiplies it natively, unless float32 is faster there.
            skip_outside_body: whether constant windows are not run.
            margin: the least number of voxels by which windows reach beyond the ends of a volume. The margin is filled
                by reflection: without it, voxels at an end see the zeros with which convolutions pad a window.
            channels: the channels of an image.
            overlapping: whether the network gives a logit of its own for each structure, and none for the background,
                `(B, C - 1, *window_size)`.
            last_layers: how many of the dropout layers that run last are random in repeats; by default all.
            choices_file: where the layout and the precision that are measured are kept; None keeps none, and a CPU's
                precision is then not measured.

        Raises:
            InvalidInputError: the network does not take such windows, or gives an output of another shape.
        """
        self._device = torch.device(device)
        if self._device.type == "cpu":
            keep_freed_memory()
        self._window_size = window_size
        self._overlap = window_overlap
        self._skip_outside_body = skip_outside_body
        self._margin = margin
        self._channels = channels
        self.overlapping = overlapping
        item = (channels, *window_size)
        self._network, self.precision = fastest_copy(network, self._device, precision, item, choices_file)
        self._limit = BatchLimit(window_size[0] * window_size[1] * window_size[2], self._device)
        with torch.no_grad(), self._autocast():
            empty = self._empty_windows()
            self.classes = class_count(self._network, empty) + overlapping
            if last_layers is not None:
                keep_last_random(self._network, last_layers, empty)
        logger.info("prediction in %s, windows of %s voxels on %s", self.precision, window_size, self._device)

    def probabilities(self, image: Tensor) -> Tensor:
        """Softmax of the network with dropout off: image `(K, W, H, D)` → float32 `(C, W, H, D)`, on the device.

        Structures that overlap have sigmoids, and the background what the most probable of them leaves.

        Raises:
            InvalidInputError: `image` is no such volume, or a window does not fit into memory.
        """
        return self.all_probabilities([image])[0]

    def all_probabilities(self, images: Sequence[Tensor]) -> list[Tensor]:
        """`probabilities` of several images, whose windows go through the network together. All are held at once.

        A window of a small image leaves most of a processor or a GPU idle.
        """
        volumes = [self._windowed(image) for image in images]
        blends = [None if volume.is_one_window else self._empty_blend(volume) for volume in volumes]
        places = [(place, window) for place, volume in enumerate(volumes) for window in volume.occupied]
        found: dict[int, Tensor] = {}

        def forward(job: Job) -> Tensor:
            chosen = [places[number] for number in job.windows]
            return self._network(torch.cat([volumes[place].batch([window]) for place, window in chosen]))

        with torch.no_grad(), self._autocast():
            jobs = self._limit.jobs(list(range(len(places))), range(1))
            for job, logits in self._limit.run(jobs, forward):
                for number, of_window in zip(job.windows, logits.split(1), strict=True):
                    place, window = places[number]
                    blend = blends[place]
                    if blend is None:  # Nothing to blend: what lies beyond the ends is cut first.
                        found[place] = self._probable(volumes[place].grid.crop(of_window))[0]
                    else:
                        blend.add(window, slice(0, 1), self._probable(of_window))
        for place, blend in enumerate(blends):
            if blend is not None:
                maps = blend.maps()[0]
                found[place] = with_background(maps[1:]) if self.overlapping else maps
        return [found[place] for place in range(len(images))]

    def new_statistics(self) -> MonteCarloStatistics:
        """Statistics to which `sample` adds the first repeat."""
        return MonteCarloStatistics(self.overlapping)

    def sample(
        self, image: Tensor, repeats: int, seed: int, statistics: MonteCarloStatistics | None = None
    ) -> MonteCarloStatistics:
        """Statistics over repeats of the blended softmax with dropout on: image `(K, W, H, D)` → maps `(…, W, H, D)`.

        Peak memory does not grow with `repeats`. Without any repeat, they are the statistics of a single pass with
        dropout off.

        Args:
            image: prepared as the network was trained.
            repeats: the number of repeats to add; 0 without `statistics` means the single pass.
            seed: 0 or more. The masks depend on it, the repeat's number and the window only: the statistics are the
                same whatever the batch size, up to the rounding of the forward pass.
            statistics: those of earlier repeats of this image and seed; they are updated and returned.

        Raises:
            InvalidInputError: as `probabilities`, or the network has no dropout, so that repeats would be identical.
        """
        if repeats == 0 and statistics is None:
            return MonteCarloStatistics.of_single_pass(self.probabilities(image), self.overlapping)
        if not random_layers(self._network):
            raise InvalidInputError(
                "the network has no dropout layer with a rate above 0, so its repeats would be identical: "
                "train one with dropout, or set repeats to 0, a single pass"
            )
        statistics = self.new_statistics() if statistics is None else statistics
        volume, split = self._windowed(image), self._split  # split while the dropout is off
        wanted = range(statistics.repeats, statistics.repeats + repeats)
        with torch.no_grad(), self._autocast(), monte_carlo_dropout(self._network, self._device, True) as dropout:
            self._add_repeats(statistics, volume, split, wanted, dropout, seed)
        return statistics

    @functools.cached_property
    def _split(self) -> SplitNetwork:
        """The network in two parts; a single pass does without it, and without trying it."""
        with torch.no_grad(), self._autocast():
            return split_before_dropout(self._network, self._empty_windows())

    def _empty_windows(self) -> Tensor:
        return torch.zeros((2, self._channels, *self._window_size), device=self._device)

    @property
    def windows_at_once(self) -> int:
        """How many windows, or small images, go through the network at once."""
        return self._limit.items

    def is_small(self, image: Tensor) -> bool:
        """Whether an image lies in one window."""
        return len(self._grid(image).starts) == 1

    def sample_each(self, images: Sequence[Tensor], repeats: int, seed: int) -> Iterator[MonteCarloStatistics]:
        """What `sample` gives for each of several images.

        In single passes, small images go through the network together, as many as fill a batch.
        """
        if repeats:
            yield from (self.sample(image, repeats, seed) for image in images)
            return
        for batch in small_together(images, self.is_small, self._limit.items):
            for probabilities in self.all_probabilities(batch):
                yield MonteCarloStatistics.of_single_pass(probabilities, self.overlapping)

    def _add_repeats(
        self,
        statistics: MonteCarloStatistics,
        volume: WindowedVolume,
        split: SplitNetwork,
        repeats: range,
        dropout: RandomDropout,
        seed: int,
    ) -> None:
        """Add the probabilities of the volume in each of `repeats`, some at a time."""
        at_once = self._repeats_at_once(volume, len(repeats))
        groups = [repeats[first : first + at_once] for first in range(0, len(repeats), at_once)]
        features = SharedFeatures(split.shared, self._kept_bytes() if len(groups) > 1 else 0)
        forward = self._stochastic_forward(volume, features, dropout, seed)
        if volume.is_one_window:  # Nothing to blend: what lies beyond the ends is cut.
            for group in groups:
                for _, logits in self._limit.run(self._limit.jobs(volume.occupied, group), forward):
                    self._add_logits(statistics, volume.grid.crop(logits))
            return
        blend = Blend(volume.grid, at_once, self.classes, self._device)
        for group in groups:
            self._fill(blend, volume, group, forward)
            statistics.update_all(blend.maps()[: len(group)])

    def _add_logits(self, statistics: MonteCarloStatistics, logits: Tensor) -> None:
        """Add the repeats of logits `(r, C, W, H, D)`."""
        if self.overlapping:
            statistics.update_all(self._probable(logits))
        else:
            statistics.update_logits(logits)

    def _stochastic_forward(
        self, volume: WindowedVolume, features: SharedFeatures, dropout: RandomDropout, seed: int
    ) -> Callable[[Job], Tensor]:
        def forward(job: Job) -> Tensor:
            dropout.begin([Draw(seed, repeat, window) for window in job.windows for repeat in job.repeats])
            handed_on = features.of(job.windows, volume.batch)
            return self._split.repeated(*(each_repeated(value, len(job.repeats)) for value in handed_on))

        return forward

    def _fill(self, blend: Blend, volume: WindowedVolume, repeats: range, forward: Callable[[Job], Tensor]) -> None:
        """Fill `blend` with all windows of `repeats`; `forward` gives a job's logits, window by window."""
        blend.clear()

        def probable(job: Job) -> Tensor:
            return self._probable(forward(job))

        for job, probabilities in self._limit.run(self._limit.jobs(volume.occupied, repeats), probable):
            within = slice(job.repeats[0] - repeats[0], job.repeats[-1] - repeats[0] + 1)
            for window, of_window in zip(job.windows, probabilities.split(len(job.repeats)), strict=True):
                blend.add(window, within, of_window)
        for window in volume.skipped:
            blend.add_background(window)

    def _probable(self, logits: Tensor) -> Tensor:
        """The probabilities `(B, C, *S)` of logits."""
        # The classes are laid out one after the other first: softmax and blending then read memory in order.
        logits = logits.to(torch.float32, memory_format=torch.contiguous_format)
        if self.overlapping:
            return with_background(torch.sigmoid(logits).movedim(1, 0)).movedim(0, 1)
        return torch.softmax(logits, dim=1)

    def _empty_blend(self, volume: WindowedVolume) -> Blend:
        """A blend for one pass, with the windows in it that hold nothing."""
        blend = Blend(volume.grid, 1, self.classes, self._device)
        blend.clear()
        for window in volume.skipped:
            blend.add_background(window)
        return blend

    def _windowed(self, image: Tensor) -> WindowedVolume:
        return WindowedVolume(image.to(self._device, torch.float32), self._grid(image), self._skip_outside_body)

    def _grid(self, image: Tensor) -> WindowGrid:
        size = image_size(image, self._channels)
        return window_grid(size, self._window_size, self._overlap, self._margin)

    def _repeats_at_once(self, volume: WindowedVolume, repeats: int) -> int:
        """The number of repeats in one pass: as many as fit into a batch and, with their maps, into memory."""
        w, h, d = volume.grid.padded_size
        fitting = _BLEND_BYTES[self._device.type] // (4 * self.classes * w * h * d)
        return max(min(repeats, fitting, self._limit.items), 1)

    def _kept_bytes(self) -> int:
        return _KEPT_BYTES[self._device.type] if self._split.shared_fraction >= _LEAST_SHARED_TO_KEEP else 0

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision.dtype == torch.bfloat16)
