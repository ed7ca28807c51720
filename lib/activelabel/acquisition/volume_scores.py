"""All scores of one volume from one pass over its Monte Carlo repeats."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from activelabel.acquisition.aggregation import slice_products
from activelabel.acquisition.regions import REGIONS, regions_of
from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics, measures_with
from activelabel.recipes import RegionSettings

_PART_VOXELS = 1 << 17


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
    axis = 0 if slice_axis is None else slice_axis
    sums = _slice_sums(statistics, settings, axis, measures, regions)
    voxels = sums[-1]
    return [
        score
        for measure, of_measure in zip(measures, sums, strict=False)
        for region, totals, count in zip(regions, of_measure, voxels, strict=True)
        for score in _both(measure, region, totals, count, slice_axis is not None)
    ]


def _both(measure: str, region: str, totals: Tensor, voxels: Tensor, of_slices: bool) -> tuple[Score, Score]:
    """Total and mean of a volume from the sums over its slices and their numbers of voxels."""
    total, means = float(totals.sum()), totals / voxels.clamp_min(1)
    mean = total / max(float(voxels.sum()), 1)
    return (
        Score(measure, region, "total", total, tuple(totals.tolist()) if of_slices else None),
        Score(measure, region, "mean", mean, tuple(means.tolist()) if of_slices else None),
    )


def _slice_sums(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    axis: int,
    measures: Sequence[str],
    regions: Sequence[str],
) -> Tensor:
    """The sum of each measure, and of 1, over each region in each slice: float64 (measures + 1, regions, slices).

    Part by part, so that all maps of a part lie in a processor's cache at once.
    """
    masks = regions_of(statistics, regions, settings)
    shape = statistics.mean.shape[1:]
    thickness = max(_PART_VOXELS // math.prod(shape[1:]), 1)
    sums = torch.zeros((len(measures) + 1, len(regions), shape[axis]), dtype=torch.float64)
    for first in range(0, shape[0], thickness):
        part = slice(first, first + thickness)
        maps = [MEASURES[measure](statistics.part(part)) for measure in measures]
        inside = torch.stack([mask[part].float() for mask in masks])
        of_part = slice_products(torch.stack([*maps, torch.ones_like(inside[0])]), inside, axis).cpu()
        if axis == 0:
            sums[..., part] = of_part
        else:
            sums += of_part
    return sums
