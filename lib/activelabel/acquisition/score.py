"""The score of an image and of its slices."""

from dataclasses import dataclass

from activelabel.names import ScoreKind


@dataclass(frozen=True)
class Score:
    """A measure over a region: one number for the volume, and one for each slice. Larger ones are asked for first.

    `measure` and `region` are names in `MEASURES` and `REGIONS`, or those of `class_scores`; `aggregation` is `total`
    or `mean`; `slices` is None where slices were not scored.
    """

    measure: str
    region: str
    aggregation: str
    value: float
    slices: tuple[float, ...] | None = None

    @classmethod
    def of_kind(cls, kind: ScoreKind, value: float, slices: tuple[float, ...] | None = None) -> "Score":
        """A score of the given kind."""
        return cls(kind.measure, kind.region, kind.aggregation, value, slices)

    @property
    def kind(self) -> ScoreKind:
        """The measure, region and aggregation of the score."""
        return ScoreKind(self.measure, self.region, self.aggregation)


@dataclass(frozen=True)
class ImageScores:
    """All scores of an image, and the number of repeats from which they come."""

    image_id: str
    scores: tuple[Score, ...]
    repeats: int
