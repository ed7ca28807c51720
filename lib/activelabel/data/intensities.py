"""The intensities of an image, measured by percentiles, so that a few extreme voxels do not matter."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AIR_HU = -200.0
"""Voxels of at most this are air, lung or fat in a CT; no MR image, as measured or z-scored, has many."""
AIR_SHARE = 0.005
"""At least this share of the voxels of a CT is at most `AIR_HU`. Spline interpolation leaves a smaller share."""
TISSUE_SHARE = 0.01
"""At least this share of the voxels of a CT lies between `AIR_HU` and `TISSUE_HU`, the range of soft tissue."""
TISSUE_HU = 300.0
FAR_TIMES = 30.0
"""An image whose range is this many times larger or smaller than that of the others is in another unit."""
OFFSET_MIDDLE = (800.0, 1300.0)
"""With an offset of 1000 or 1024, fat, water and soft tissue with contrast lie in this range. In Hounsfield units it is
that of the densest bone, so the middle of an image that was cropped to bone lies below."""
FEWEST = 3
"""With fewer images, none can be called the odd one out."""

_SAMPLE = 1_000_000
_LOW, _HIGH = 0.5, 99.5


@dataclass(frozen=True)
class Intensities:
    """Percentiles 0.5, 50 and 99.5 of an image's voxels, and whether they look like Hounsfield units (1) or not (0)."""

    low: float
    middle: float
    high: float
    hounsfield: float

    def as_tuple(self) -> tuple[float, float, float, float]:
        """The numbers as the ledger keeps them."""
        return (self.low, self.middle, self.high, self.hounsfield)


ChannelIntensities = tuple[Intensities, ...]
"""The intensities of each channel of an image."""


def from_numbers(numbers: Sequence[float]) -> ChannelIntensities:
    """The intensities of the channels from the numbers of `as_tuple`, one after the other."""
    return tuple(Intensities(*numbers[start : start + 4]) for start in range(0, len(numbers), 4))


def measure_intensities(voxels: NDArray[np.float32]) -> Intensities:
    """The intensities of an image; for a large one, from a million voxels spread over it."""
    sample = spread_sample(voxels)
    low, middle, high = (float(value) for value in np.percentile(sample, [_LOW, 50, _HIGH]))
    return Intensities(low, middle, high, float(is_hounsfield(sample)))


def measure_channels(channels: NDArray[np.float32]) -> ChannelIntensities:
    """The intensities of each channel of an image (C, W, H, D)."""
    return tuple(measure_intensities(channel) for channel in channels)


def odd_channels(images: Mapping[str, ChannelIntensities], names: Sequence[str] = ()) -> dict[str, str]:
    """`odd_ones`, each channel compared with the same one of the other images; `names` are those of the channels."""
    odd: dict[str, str] = {}
    for place in range(max((len(image) for image in images.values()), default=0)):
        of_channel = {name: image[place] for name, image in images.items() if place < len(image)}
        for name, difference in odd_ones(of_channel).items():
            line = f"{names[place]}: {difference}" if len(names) > 1 else difference
            odd[name] = f"{odd[name]}; {line}" if name in odd else line
    return odd


def is_offset(image: Intensities) -> bool:
    """Whether an image that is said to be CT is stored with an offset, such as 1024, so that windows miss the body.

    An image of which more than half is air or lung is not told from one in Hounsfield units with 0 around the body.
    """
    least, most = OFFSET_MIDDLE
    return not image.hounsfield and image.low >= 0 and least <= image.middle <= most


def offset_images(images: Mapping[str, ChannelIntensities], is_ct: Callable[[int], bool]) -> list[str]:
    """The names of the images of which a channel that is said to be CT `is_offset`; `is_ct` tells it by its place."""
    return [
        name
        for name, image in images.items()
        if any(is_ct(place) and is_offset(channel) for place, channel in enumerate(image))
    ]


NO_HOUNSFIELD = (
    "no Hounsfield units although the project is CT: hardly a value is below 0, and their middle lies about 1000, so "
    "probably stored with an offset of 1000 or 1024, and the window of a recipe does not show the body; export in "
    "Hounsfield units, or begin with --conf modality other"
)


def is_hounsfield(voxels: NDArray[np.float32]) -> bool:
    """Whether voxels look like Hounsfield units: there is air, lung or fat, and there is soft tissue."""
    sample = spread_sample(voxels)
    air = np.count_nonzero(sample <= AIR_HU)
    tissue = np.count_nonzero((sample > AIR_HU) & (sample <= TISSUE_HU) & (sample != 0))
    return bool(air >= AIR_SHARE * sample.size and air > 0 and tissue >= TISSUE_SHARE * sample.size)


def spread_sample(voxels: NDArray[np.float32]) -> NDArray[np.float32]:
    """About a million of the voxels, always the same ones; all voxels if there are fewer."""
    return voxels.ravel()[:: max(1, voxels.size // _SAMPLE)]


def odd_ones(images: Mapping[str, Intensities]) -> dict[str, str]:
    """By name, the images whose intensities differ from those of the others, each with the difference in words.

    An image is odd if it looks like Hounsfield units while most others do not, or the other way round; if its range
    does not overlap that of the others; or if its range is `FAR_TIMES` as wide or as narrow. With fewer than `FEWEST`
    images, none is odd.
    """
    if len(images) < FEWEST:
        return {}
    low, high = (statistics.median(getattr(image, end) for image in images.values()) for end in ("low", "high"))
    hounsfield = statistics.fmean(image.hounsfield for image in images.values())
    odd = {}
    for name, image in images.items():
        oddness = _oddness(image, low, high, hounsfield)
        if oddness is not None:
            ranges = f"its values run from {image.low:g} to {image.high:g}, most others' from {low:g} to {high:g}"
            odd[name] = f"{ranges}: {oddness}"
    return odd


def _oddness(image: Intensities, low: float, high: float, hounsfield: float) -> str | None:
    if not image.hounsfield and hounsfield > 2 / 3:
        return "they are no Hounsfield units as the others' are (clipped, or stored with an offset); export it again"
    if image.hounsfield and hounsfield < 1 / 3:
        return "they look like Hounsfield units, and the others' do not; take it out if it is a CT"
    if image.high < low or image.low > high:
        return "stored with an offset, or of another kind; export it as the others, or take it out"
    width, usual = image.high - image.low, high - low
    if usual > 0 and not usual / FAR_TIMES <= width <= usual * FAR_TIMES:
        return "stored in another scale, or nearly constant; export it as the others, or take it out"
    return None
