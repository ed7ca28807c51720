"""By which score volumes race."""

from activelabel.acquisition.uncertainty import MEASURES
from activelabel.errors import InvalidInputError

UNCERTAINTY_VOLUMES = ("entropy", "dilated_foreground", "mean")
"""Measure, region and aggregation of the strategy `uncertainty_volumes` (chlebus2022, II.D)."""

MEAN_MEASURES = {f"mean_{measure}": (measure, "everything", "mean") for measure in ("variance", "entropy")}
"""Those of the strategies that go by the mean of a measure over all voxels (nath2022, 3.4)."""


def raced_kind(strategy: str) -> tuple[str, str, str]:
    """Measure, region and aggregation of the one score that a strategy goes by.

    Raises:
        InvalidInputError: it goes by none, by those of two regions, or by those of slices.
    """
    if strategy == "uncertainty_volumes":
        return UNCERTAINTY_VOLUMES
    if strategy in MEAN_MEASURES:
        return MEAN_MEASURES[strategy]
    if strategy not in MEASURES:
        raise InvalidInputError(
            f"racing: volumes race by one score, and the strategy {strategy} does not go by one score of volumes: "
            f"use one of {', '.join([*MEASURES, *MEAN_MEASURES, 'uncertainty_volumes'])}, or turn racing off"
        )
    return (strategy, "everything", "total")
