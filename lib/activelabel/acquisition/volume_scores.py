"""All scores of one volume from one pass over its Monte Carlo repeats."""

from collections.abc import Iterator, Sequence

from activelabel.acquisition.aggregation import AGGREGATIONS, SLICE_AGGREGATIONS
from activelabel.acquisition.regions import REGIONS
from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics
from activelabel.recipes import RegionSettings


def volume_scores(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    slice_axis: int | None = None,
    measures: Sequence[str] = tuple(MEASURES),
    regions: Sequence[str] = tuple(REGIONS),
) -> list[Score]:
    """Every measure over every region, as total and as mean, of the volume and of its slices.

    Args:
        statistics: at least one repeat.
        settings: thresholds of the regions.
        slice_axis: spatial axis along which slices are scored too; `None` scores the volume only.
        measures: names in `MEASURES`.
        regions: names in `REGIONS`.

    Returns:
        A score each, in the order of the arguments, a volume's before its slices'. Empty regions have 0.0.
    """
    return list(_scores(statistics, settings, slice_axis, measures, regions))


def _scores(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    slice_axis: int | None,
    measures: Sequence[str],
    regions: Sequence[str],
) -> Iterator[Score]:
    # `None` for everything spares the masked sums.
    masks = {name: REGIONS[name](statistics.mean, settings) if name != "everything" else None for name in regions}
    for measure in measures:
        map = MEASURES[measure](statistics)
        for region, mask in masks.items():
            for aggregation, over_volume in AGGREGATIONS.items():
                yield Score(measure, region, aggregation, over_volume(map, mask))
            if slice_axis is None:
                continue
            for aggregation, over_slices in SLICE_AGGREGATIONS.items():
                for index, value in enumerate(over_slices(map, slice_axis, mask).tolist()):
                    yield Score(measure, region, aggregation, value, index)
