"""What a score is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A measure over a region, one number: of the volume, or of slice `slice_index` of it. Larger is asked for first.

    `measure` and `region` are names in `MEASURES` and `REGIONS`, `aggregation` is `total` or `mean`.
    """

    measure: str
    region: str
    aggregation: str
    value: float
    slice_index: int | None = None
