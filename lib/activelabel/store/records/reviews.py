"""What reviewers decided about labels, and how much two readings agree, as the ledger returns them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ReviewOutcome = Literal["approved", "returned", "released", "expired"]
Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Review:
    """What a reviewer has decided about a label, or that they have it before them (`outcome` None).

    `begun_at` and `expires_at` are None if it was decided without taking the label for review. A decision stands until
    `superseded_at`, when a later one about the same label replaced it.
    """

    id: int
    image_id: str
    annotation_id: int
    reviewer: str
    begun_at: datetime | None
    expires_at: datetime | None
    outcome: ReviewOutcome | None
    note: str
    difficulty: Difficulty | None
    ended_at: datetime | None
    superseded_at: datetime | None


@dataclass(frozen=True)
class Agreement:
    """How much two readings of a structure agree: Dice, and the mean distance of both surfaces in mm.

    The distance is None if one of them has not drawn the structure.
    """

    dice: float
    distance_mm: float | None


@dataclass(frozen=True)
class Reading:
    """Two readings of a case, by the ids of their labels, and their agreement for each structure that either drew.

    The comparison is the current one until `superseded_at`.
    """

    id: int
    image_id: str
    first_id: int
    second_id: int
    structures: Mapping[str, Agreement]
    agrees: bool
    created_at: datetime
    superseded_at: datetime | None

    @property
    def in_words(self) -> str:
        """How much both agree, structure by structure."""
        shown = [
            f"{name} Dice {one.dice:.2f}" + ("" if one.distance_mm is None else f", {one.distance_mm:.1f} mm apart")
            for name, one in sorted(self.structures.items())
        ]
        return "; ".join(shown) or "nothing is drawn in either"
