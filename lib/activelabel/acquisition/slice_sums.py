"""Sums of every measure over every region in each slice of a volume, from which all of its scores come."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from activelabel.acquisition.aggregation import slice_products
from activelabel.acquisition.regions import predicted_foreground, regions_of
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.recipes import RegionSettings

_PART_VOXELS = {"cpu": 1 << 17, "cuda": 1 << 23}
"""A GPU would spend its time on starting kernels for small parts; so many voxels take 1 GB."""


def slice_sums(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    axis: int,
    measures: Sequence[str],
    regions: Sequence[str],
    *,
    by_class: bool = False,
) -> Tensor:
    """The sum of each of `measures`, and of 1, over each region in each slice: float64 (measures + 1, regions, slices).

    With `by_class` more regions follow: the voxels predicted as foreground, and for each foreground class all voxels,
    weighted by its probability.

    Part by part, so that on a processor all maps of a part lie in its cache at once; the slices of a part lie behind
    each other in memory.
    """
    masks = regions_of(statistics, regions, settings)
    shape = statistics.mean.shape[1:]
    thickness = max(_PART_VOXELS[statistics.mean.device.type] // math.prod(shape[1:]), 1)
    sums: list[Tensor] = []
    for first in range(0, shape[0], thickness):
        part = slice(first, first + thickness)
        turned = statistics.part(part).turned(axis)
        weights = [mask[part].movedim(axis, 0) for mask in masks]
        if by_class:
            weights += [predicted_foreground(turned.mean), *turned.mean[1:]]
        maps = turned.maps(measures)
        maps.append(torch.ones_like(turned.mean[0]))
        sums.append(slice_products(torch.stack(maps), _stacked(weights), 0).cpu())
    return torch.cat(sums, dim=2) if axis == 0 else torch.stack(sums).sum(dim=0)


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    """The maps as float32, one behind the other."""
    stacked = torch.empty((len(maps), *maps[0].shape), device=maps[0].device)
    for into, map in zip(stacked, maps, strict=True):
        into.copy_(map)
    return stacked
