"""How many labels make a training due."""

from dataclasses import dataclass

from activelabel.recipes import QuerySettings


@dataclass(frozen=True)
class Thresholds:
    """How many labels of training cases make a training due: `start` the first, then `retrain_after` new ones the next.

    They count volumes or slices, whichever is asked for then. Labels of validation cases count for neither.
    """

    start: int
    retrain_after: int


def thresholds(query: QuerySettings, start: int | None, retrain_after: int | None) -> Thresholds:
    """The recipe's numbers, or the settings' where they say something.

    A `retrain_after` that was set without a `start` holds for the first training too, if both count the same things:
    volumes, or slices.
    """
    same_unit = query.asks_slices == query.starts_with_slices
    first = start or (retrain_after if same_unit else None) or query.start
    return Thresholds(first, retrain_after or query.size)
