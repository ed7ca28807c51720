"""What a score is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A measure over a region, one number: of the volume, and of each of its slices. Larger is asked for first.

    `measure` and `region` are names in `MEASURES` and `REGIONS`, or those of `class_scores`; `aggregation` is `total`
    or `mean`; `slices` is None where slices were not scored.
    """

    measure: str
    region: str
    aggregation: str
    value: float
    slices: tuple[float, ...] | None = None
