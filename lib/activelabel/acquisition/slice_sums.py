"""Sums of every measure over every region in each slice of a volume, from which all of its scores come."""

import logging
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from activelabel.acquisition.aggregation import slice_products
from activelabel.acquisition.regions import predicted_foreground, regions_of
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.out_of_memory import is_out_of_memory
from activelabel.recipes import RegionSettings

logger = logging.getLogger(__name__)

_PART_VOXELS = {"cpu": 1 << 17, "cuda": 1 << 23}
"""A GPU would spend its time on starting kernels for small parts."""
_PART_VALUES = 1 << 27
"""All maps and weights of a part: 0.5 GB as float32, and a few times that with what comes up between."""


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
    shape, device = statistics.mean.shape[1:], statistics.mean.device
    values = len(measures) + 1 + len(masks) + (len(statistics.mean) if by_class else 0)
    voxels = min(_PART_VOXELS[device.type], _PART_VALUES // values)
    thickness, first = min(max(voxels // math.prod(shape[1:]), 1), shape[0]), 0
    sums: list[Tensor] = []
    while first < shape[0]:
        part = slice(first, first + thickness)
        try:
            sums.append(_part_sums(statistics.part(part), [mask[part] for mask in masks], axis, measures, by_class))
            first += thickness
        except (MemoryError, RuntimeError) as error:
            if thickness == 1 or not is_out_of_memory(error, device):
                raise
            logger.warning("out of memory with %d slices at once, going on with %d", thickness, thickness // 2)
            thickness //= 2
    return torch.cat(sums, dim=2) if axis == 0 else torch.stack(sums).sum(dim=0)


def _part_sums(
    part: MonteCarloStatistics, masks: Sequence[Tensor], axis: int, measures: Sequence[str], by_class: bool
) -> Tensor:
    turned = part.turned(axis)
    weights = [mask.movedim(axis, 0) for mask in masks]
    if by_class:
        weights += [predicted_foreground(turned.mean), *turned.mean[1:]]
    maps = turned.maps(measures)
    maps.append(torch.ones_like(turned.mean[0]))
    return slice_products(torch.stack(maps), _stacked(weights), 0).cpu()


def _stacked(maps: Sequence[Tensor]) -> Tensor:
    """The maps as float32, one behind the other."""
    stacked = torch.empty((len(maps), *maps[0].shape), device=maps[0].device)
    for into, map in zip(stacked, maps, strict=True):
        into.copy_(map)
    return stacked
