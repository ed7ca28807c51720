"""From a voxel map to one number a volume, or one a slice. Sums are taken in float64."""

from collections.abc import Callable

import torch
from torch import Tensor


def total(map: Tensor, region: Tensor | None = None) -> float:
    """Sum of `map` `(*S)` over the voxels of `region` (bool `(*S)`, everything by default); 0.0 if it is empty.

    The sum over everything is the score of rahimi2022 (after eq. 1); over a region, that of ma2024 (eq. 3 and 4).
    """
    chosen = map if region is None else map[region]
    return float(chosen.sum(dtype=torch.float64))


def mean(map: Tensor, region: Tensor | None = None) -> float:
    """Mean of `map` `(*S)` over the voxels of `region` (bool `(*S)`, everything by default); 0.0 if it is empty."""
    voxels = map.numel() if region is None else int(region.sum())
    return total(map, region) / voxels if voxels else 0.0


def slice_totals(map: Tensor, axis: int, region: Tensor | None = None) -> Tensor:
    """Sum of `map` over the voxels of `region` in each slice along `axis`: float64 `(map.shape[axis],)`.

    A slice without a voxel of the region has 0.0: the score of ma2024 (eq. 3 and 4) where the samples are slices.
    """
    chosen = map if region is None else torch.where(region, map, 0)
    return chosen.movedim(axis, 0).flatten(1).sum(dim=1, dtype=torch.float64)


def slice_profile(map: Tensor, axis: int, region: Tensor | None = None) -> Tensor:
    """Mean of `map` over the voxels of `region` in each slice along `axis`: float64 `(map.shape[axis],)`.

    Over everything, the slice uncertainty of chlebus2022 (II.D). A slice without a voxel of the region has 0.0.
    """
    totals = slice_totals(map, axis, region)
    if region is None:
        return totals / max(map.numel() // max(map.shape[axis], 1), 1)
    return totals / slice_totals(region, axis).clamp_min_(1)


AGGREGATIONS: dict[str, Callable[[Tensor, Tensor | None], float]] = {"total": total, "mean": mean}
SLICE_AGGREGATIONS: dict[str, Callable[[Tensor, int, Tensor | None], Tensor]] = {
    "total": slice_totals,
    "mean": slice_profile,
}
