"""The foreground that a model predicts, and its entropy class by class."""

from torch import Tensor

from activelabel.acquisition.aggregation import slice_totals
from activelabel.acquisition.regions import predicted_foreground
from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics


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
    entropy = statistics.entropy()
    maps: list[tuple[str, str, Tensor]] = [("foreground", "everything", predicted_foreground(statistics.mean))]
    maps += [
        ("entropy", class_region(label), entropy * probability)
        for label, probability in enumerate(statistics.mean[1:], start=1)
    ]
    scores = []
    for measure, region, map in maps:
        totals = slice_totals(map, slice_axis or 0)
        slices = None if slice_axis is None else tuple(totals.tolist())
        scores.append(Score(measure, region, "total", float(totals.sum()), slices))
    return scores
