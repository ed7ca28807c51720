"""What a score is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A measure over a region, one number: of the volume, or of slice `slice_index` of it. Larger is asked for first.

    `measure`, `region` and `aggregation` are names in `MEASURES`, `REGIONS` and `AGGREGATIONS`.
    """

    measure: str
    region: str
    aggregation: str
    value: float
    slice_index: int | None = None
