"""Aggregation of a voxel map to one number for the volume, or one for each slice.

Sums are taken in float32 over blocks of a map and in float64 over the blocks. A NaN stays visible: wherever it is in a
map, the sum over its volume or slice is NaN, whatever the region.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

# Voxels that are added up at once: a block and its region then fit into a processor's second-level cache.
_BLOCK_VOXELS = 1 << 18
_SUMMED_VOXELS = 1 << 14


def total(map: Tensor, region: Tensor | None = None) -> float:
    """Sum of `map` `(*S)` over the voxels of `region` (bool `(*S)`, everything by default); 0.0 if it is empty.

    The sum over everything is the score of rahimi2022 (after eq. 1); over a region, that of ma2024 (eq. 3 and 4).
    """
    return float(slice_totals(map, 0, region).sum())


def mean(map: Tensor, region: Tensor | None = None) -> float:
    """Mean of `map` `(*S)` over the voxels of `region` (bool `(*S)`, everything by default); 0.0 if it is empty."""
    return total(map, region) / max(float(slice_voxels(map, 0, region).sum()), 1)


def slice_totals(map: Tensor, axis: int, region: Tensor | None = None) -> Tensor:
    """Sum of `map` over the voxels of `region` in each slice along `axis`: float64 `(map.shape[axis],)`.

    A slice without a voxel of the region has 0.0: the score of ma2024 (eq. 3 and 4) where the samples are slices.
    """
    axis %= map.ndim
    others = tuple(other for other in range(map.ndim + 1) if other != axis)
    thickness = max(_BLOCK_VOXELS // max(math.prod(map.shape[1:]), 1), 1)
    blocks: Iterable[Tensor] = map.split(thickness)
    if region is not None:
        blocks = (block * inside for block, inside in zip(blocks, region.split(thickness), strict=True))
    # The last axis is added so that there is always one to sum over.
    sums = [block.unsqueeze(-1).sum(dim=others).double() for block in blocks]
    return torch.cat(sums) if axis == 0 else torch.stack(sums).sum(dim=0)


def slice_products(maps: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Sum of each map times each weight in each slice along `axis`: `(M, *S)`, `(G, *S)` → float64 `(M, G, slices)`.

    With masks as weights these are the sums over regions, all at once.
    """
    if axis == maps.ndim - 2:  # The slices lie innermost: to sort the values by slice would cost more than the sums.
        others = tuple(range(1, maps.ndim - 1))
        return torch.stack([(weights * one).sum(dim=others).double() for one in maps])
    by_slice = [values.movedim(axis + 1, 1).flatten(2).transpose(0, 1) for values in (maps, weights)]
    blocks = zip(*(values.split(_SUMMED_VOXELS, dim=2) for values in by_slice), strict=True)
    sums = [torch.bmm(of_maps, of_weights.transpose(1, 2)).double() for of_maps, of_weights in blocks]
    return torch.stack(sums).sum(dim=0).movedim(0, -1)


def slice_voxels(map: Tensor, axis: int, region: Tensor | None = None) -> Tensor:
    """Number of voxels of `region` in each slice along `axis`: float64 `(map.shape[axis],)`."""
    if region is not None:
        return slice_totals(region, axis)
    slices = map.shape[axis]
    return torch.full((slices,), map.numel() / max(slices, 1), dtype=torch.float64, device=map.device)


def slice_profile(map: Tensor, axis: int, region: Tensor | None = None) -> Tensor:
    """Mean of `map` over the voxels of `region` in each slice along `axis`: float64 `(map.shape[axis],)`.

    Over everything, the slice uncertainty of chlebus2022 (II.D). A slice without a voxel of the region has 0.0.
    """
    return slice_totals(map, axis, region) / slice_voxels(map, axis, region).clamp_min_(1)
