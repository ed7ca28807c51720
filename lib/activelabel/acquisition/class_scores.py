"""The foreground that a model predicts, and its entropy class by class."""

from torch import Tensor

from activelabel.acquisition.score import Score
from activelabel.acquisition.slice_sums import slice_sums
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.recipes import RegionSettings


def class_region(label: int) -> str:
    """The name of a class, 1 or more, as a region: each voxel is weighted by the probability of the class."""
    return f"class_{label}"


def class_scores(statistics: MonteCarloStatistics, slice_axis: int | None = None) -> list[Score]:
    """The voxels predicted as foreground, and of each foreground class c the sum of entropy x p_c (ClaSP PE).

    Args:
        statistics: at least one repeat, or a single pass.
        slice_axis: spatial axis along which slices are scored too; `None` scores the volume only.

    Returns:
        Totals: `foreground` over everything, a number of voxels, then `entropy` over each `class_region`.
    """
    entropy, voxels = slice_sums(statistics, RegionSettings(), slice_axis or 0, ["entropy"], (), by_class=True)
    return scores_by_class(voxels[0], entropy[1:], slice_axis is not None)


def scores_by_class(foreground: Tensor, entropies: Tensor, of_slices: bool) -> list[Score]:
    """`class_scores` from the voxels of foreground `(slices,)` and the entropy of each class `(C - 1, slices)`."""
    kinds = [("foreground", "everything"), *(("entropy", class_region(one + 1)) for one in range(len(entropies)))]
    return [
        Score(measure, region, "total", float(sums.sum()), tuple(sums.tolist()) if of_slices else None)
        for (measure, region), sums in zip(kinds, (foreground, *entropies), strict=True)
    ]
