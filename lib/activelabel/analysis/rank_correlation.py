"""Whether a model is wrong where it doubts."""

import numpy as np
from numpy.typing import NDArray

Uncertainty = NDArray[np.float32] | NDArray[np.float64]


def doubt_error_correlation(uncertainty: Uncertainty, wrong: NDArray[np.bool_]) -> float | None:
    """Spearman's rank correlation between the doubt about each voxel and whether it is wrong, in [-1, 1].

    1 only if all wrong voxels share one uncertainty, all others another that is lower; with distinct values and a share
    f of wrong voxels the most there can be is sqrt(3 f (1 − f)). None where either array is constant or empty.

    Equal to Pearson's correlation of mid-ranks, which for a map of two values needs the ranks of the wrong voxels
    alone: 1e7 voxels take half a second, where ranking all of them takes three.

    Args:
        uncertainty: one finite number a voxel, of any shape.
        wrong: where prediction and label differ, of the same shape.

    Raises:
        ValueError: the shapes differ, `wrong` is not bool, or an uncertainty is NaN or infinite.
    """
    if wrong.dtype != np.bool_ or wrong.shape != uncertainty.shape:
        raise ValueError(
            f"wrong: expected bool of the shape {uncertainty.shape} of uncertainty, got {wrong.dtype} {wrong.shape}"
        )
    if not np.isfinite(uncertainty).all():
        raise ValueError("uncertainty: expected finite numbers, got NaN or infinity")
    voxels, errors = wrong.size, np.count_nonzero(wrong)
    values, ties = np.unique(uncertainty, return_counts=True)
    if errors in (0, voxels) or len(values) == 1:
        return None
    ranks = np.cumsum(ties) - (ties + voxels) / 2  # Mid-ranks less their mean.
    doubted = np.sort(uncertainty[wrong])  # Looked up in order: ten times as fast.
    covariance = ranks[np.searchsorted(values, doubted)].sum()
    return float(covariance / np.sqrt((ties * ranks**2).sum() * errors * (1 - errors / voxels)))
