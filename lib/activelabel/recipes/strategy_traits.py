"""What follows from the name of a strategy: what races it, what it needs, by which measure it goes."""

from activelabel.errors import InvalidInputError
from activelabel.names import MEASURE_NAMES

UNCERTAINTY_VOLUMES = ("entropy", "dilated_foreground", "mean")
"""Measure, region and aggregation of the strategy `uncertainty_volumes` (chlebus2022, II.D)."""

MEAN_MEASURES = {f"mean_{measure}": (measure, "everything", "mean") for measure in ("variance", "entropy")}
"""Those of the strategies that go by the mean of a measure over all voxels (nath2022, 3.4)."""

OBJECT_MEASURES = {f"object_{measure}": (measure, "object", "mean") for measure in MEASURE_NAMES}
"""Those of the strategies that go by the mean of a measure over the object, whatever the size of image and object."""
BY_ONE_SCORE = {"uncertainty_volumes": UNCERTAINTY_VOLUMES, **MEAN_MEASURES, **OBJECT_MEASURES}


SPREAD_STRATEGIES = ("coreset", "typiclust", "coreset_slices", "typiclust_slices")
"""Those that go by what the model sees in images, of which it keeps the features."""


def raced_kind(strategy: str) -> tuple[str, str, str]:
    """Measure, region and aggregation of the one score that a strategy goes by.

    Raises:
        InvalidInputError: it goes by none, by those of two regions, or by those of slices.
    """
    if strategy in BY_ONE_SCORE:
        return BY_ONE_SCORE[strategy]
    if strategy not in MEASURE_NAMES:
        raise InvalidInputError(
            f"racing: volumes race by one score, and the strategy {strategy} does not go by one score of volumes: "
            f"use one of {', '.join([*MEASURE_NAMES, *BY_ONE_SCORE])}, or turn racing off"
        )
    return (strategy, "everything", "total")
