"""What a score is."""

from dataclasses import dataclass

from activelabel.names import ScoreKind


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

    @classmethod
    def of_kind(cls, kind: ScoreKind, value: float, slices: tuple[float, ...] | None = None) -> "Score":
        """A score of that kind."""
        return cls(kind.measure, kind.region, kind.aggregation, value, slices)

    @property
    def kind(self) -> ScoreKind:
        """What it is a score of."""
        return ScoreKind(self.measure, self.region, self.aggregation)
