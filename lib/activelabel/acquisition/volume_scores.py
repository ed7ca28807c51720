"""All scores of one volume from one pass over its Monte Carlo repeats."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activelabel.acquisition.class_scores import scores_by_class
from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.score import Score
from activelabel.acquisition.slice_sums import slice_sums
from activelabel.acquisition.uncertainty import MonteCarloStatistics, measures_with
from activelabel.recipes import RegionSettings


def volume_scores(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    slice_axis: int | None = None,
    measures: Sequence[str] | None = None,
    regions: Sequence[str] = tuple(REGIONS),
) -> list[Score]:
    """Every measure over every region, as total and as mean, of the volume and of its slices.

    Args:
        statistics: at least one repeat, or a single pass.
        settings: thresholds of the regions.
        slice_axis: spatial axis along which slices are scored too; `None` scores the volume only.
        measures: names in `MEASURES`, by default those of `measures_with`.
        regions: names in `REGIONS`.

    Returns:
        One score for each measure, region and aggregation, in the order of the arguments. Empty regions and slices
        without a voxel of them have 0.0.
    """
    measures = measures_with(statistics.repeats) if measures is None else measures
    sums = slice_sums(statistics, settings, slice_axis or 0, measures, regions)
    return list(_by_region(sums, measures, regions, slice_axis is not None))


def all_scores(
    statistics: MonteCarloStatistics, settings: RegionSettings, slice_axis: int | None = None
) -> list[Score]:
    """The scores of `volume_scores` and then those of `class_scores`, in less time than one after the other."""
    measures, regions = measures_with(statistics.repeats), tuple(REGIONS)
    sums = slice_sums(statistics, settings, slice_axis or 0, measures, regions, by_class=True)
    entropy, voxels, classes = sums[measures.index("entropy")], sums[-1], len(regions)
    return [
        *_by_region(sums[:, :classes], measures, regions, slice_axis is not None),
        *scores_by_class(voxels[classes], entropy[classes + 1 :], slice_axis is not None),
    ]


def _by_region(sums: Tensor, measures: Sequence[str], regions: Sequence[str], of_slices: bool) -> Iterator[Score]:
    """Total and mean of a volume, and of its slices, from the sums over its slices and their numbers of voxels."""
    totals: NDArray[np.float64] = sums[:-1].numpy()
    voxels: NDArray[np.float64] = sums[-1].numpy()
    of_volume = totals.sum(axis=2)
    means = of_volume / np.maximum(voxels.sum(axis=1), 1)
    slices = np.stack([totals, totals / np.maximum(voxels, 1)], axis=2).tolist()
    for number, measure in enumerate(measures):
        for place, region in enumerate(regions):
            values = float(of_volume[number, place]), float(means[number, place])
            for aggregation, value, of_each in zip(("total", "mean"), values, slices[number][place], strict=True):
                yield Score(measure, region, aggregation, value, tuple(of_each) if of_slices else None)
