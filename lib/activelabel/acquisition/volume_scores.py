"""All scores of one volume from one pass over its Monte Carlo repeats."""

from collections.abc import Iterator, Sequence

from activelabel.acquisition.aggregation import slice_totals, slice_voxels
from activelabel.acquisition.regions import REGIONS, region_of
from activelabel.acquisition.score import Score
from activelabel.acquisition.uncertainty import MEASURES, MonteCarloStatistics, measures_with
from activelabel.recipes import RegionSettings


def volume_scores(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    slice_axis: int | None = None,
    measures: Sequence[str] | None = None,
    regions: Sequence[str] = tuple(REGIONS),
) -> list[Score]:
    """Every measure over every region, as total and as mean, of the volume and of its slices.

    Args:
        statistics: at least one repeat, or a single pass.
        settings: thresholds of the regions.
        slice_axis: spatial axis along which slices are scored too; `None` scores the volume only.
        measures: names in `MEASURES`, by default those of `measures_with`.
        regions: names in `REGIONS`.

    Returns:
        One score for each measure, region and aggregation, in the order of the arguments. Empty regions and slices
        without a voxel of them have 0.0.
    """
    measures = measures_with(statistics.repeats) if measures is None else measures
    return list(_scores(statistics, settings, slice_axis, measures, regions))


def _scores(
    statistics: MonteCarloStatistics,
    settings: RegionSettings,
    slice_axis: int | None,
    measures: Sequence[str],
    regions: Sequence[str],
) -> Iterator[Score]:
    # Everything comes from the sums over slices, so that each map is read once a region.
    axis = 0 if slice_axis is None else slice_axis
    everything = statistics.mean[0]
    # `None` for everything spares a multiplication.
    masks = {name: region_of(statistics, name, settings) if name != "everything" else None for name in regions}
    voxels = {name: slice_voxels(everything, axis, mask) for name, mask in masks.items()}
    for measure in measures:
        map = MEASURES[measure](statistics)
        for region, mask in masks.items():
            totals = slice_totals(map, axis, mask)
            total, count = float(totals.sum()), float(voxels[region].sum())
            means = totals / voxels[region].clamp_min(1)
            for aggregation, value, values in (("total", total, totals), ("mean", total / max(count, 1), means)):
                yield Score(measure, region, aggregation, value, None if slice_axis is None else tuple(values.tolist()))
