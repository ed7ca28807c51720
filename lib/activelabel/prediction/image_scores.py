"""All scores of an image and of the slices of its own voxels, from its Monte Carlo repeats."""

from collections.abc import Sequence

from activelabel.acquisition.class_scores import class_scores
from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MonteCarloStatistics
from activelabel.acquisition.volume_scores import all_scores, volume_scores
from activelabel.data.preprocessing import PreparedImage
from activelabel.data.slices import own_slice_values, prepared_axis
from activelabel.recipes import RegionSettings


def image_scores(
    statistics: MonteCarloStatistics,
    image: PreparedImage,
    settings: RegionSettings,
    axis: int | None,
    measures: Sequence[str] | None = None,
    regions: Sequence[str] = tuple(REGIONS),
) -> list[Score]:
    """`volume_scores` of the prepared image, with the scores of slices along `axis` of the image's own voxels.

    If the image was resampled, a slice has the scores of the prepared slices around it. `axis` None scores no slices.
    """
    along = None if axis is None else prepared_axis(image.grid, image.original, axis)
    return _of_own_slices(volume_scores(statistics, settings, along, measures, regions), image, axis)


def all_image_scores(
    statistics: MonteCarloStatistics, image: PreparedImage, settings: RegionSettings, axis: int | None
) -> list[Score]:
    """The scores of `image_scores`, of every measure and region, and then those of `image_class_scores`, at once."""
    along = None if axis is None else prepared_axis(image.grid, image.original, axis)
    return _of_own_slices(all_scores(statistics, settings, along), image, axis)


def image_class_scores(statistics: MonteCarloStatistics, image: PreparedImage, axis: int | None) -> list[Score]:
    """`class_scores` of the prepared image, with scores of slices as in `image_scores`."""
    along = None if axis is None else prepared_axis(image.grid, image.original, axis)
    return _of_own_slices(class_scores(statistics, along), image, axis)


def _of_own_slices(scores: list[Score], image: PreparedImage, axis: int | None) -> list[Score]:
    if axis is None:
        return scores
    own = own_slice_values([score.slices or () for score in scores], image.grid, image.original, axis)
    return [
        Score(score.measure, score.region, score.aggregation, score.value, tuple(slices))
        for score, slices in zip(scores, own.tolist(), strict=True)
    ]
